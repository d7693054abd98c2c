/* The management library's functions that isobench calls, without a GPU: to try them through the real binding.
   It knows three GPUs, of which this process may not use the one in the middle; counters grow with each look.
   With OLDER, it lacks what came later. */
#include <string.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; } pci;
typedef struct { u64 total, free, used; } memory;
typedef struct { u32 gpu, memory; } rates;
typedef struct { u32 pid; u64 bytes; u32 instance, compute; } process;
typedef struct { u32 pid; u64 stamp; u32 sm, memory, encoder, decoder; } used;
typedef struct { u64 reference, violation; } violation;
enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, FORBIDDEN = 4, ABSENT = 6, TOO_SMALL = 7 };

#define MADE(handle, number) (*(handle) = (void *)(size_t)(number), OK)
#define ON(handle) ((size_t)(handle) == 100 || (size_t)(handle) == 102)
#define TELL(place, value) (ON(gpu) ? (*(place) = (value), OK) : INVALID)

static u32 looks = 0;

int nvmlInitWithFlags(u32 flags) { return flags; }
int nvmlSystemGetDriverVersion(char *text, u32 size) { return strncpy(text, "580.65.06", size), OK; }
int nvmlSystemGetCudaDriverVersion(int *version) { return *version = 13010, OK; }
int nvmlDeviceGetCount_v2(u32 *count) { return *count = 3, OK; }
int nvmlDeviceGetHandleByIndex_v2(u32 index, void **gpu) {
    return index == 1 ? FORBIDDEN : index < 3 ? MADE(gpu, 100 + index) : INVALID;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **gpu) {
    return !strcmp(uuid, "GPU-2") ? MADE(gpu, 102) : !strcmp(uuid, "MIG-7") ? MADE(gpu, 207) : ABSENT;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *part, void **gpu) {
    return (size_t)part == 207 ? MADE(gpu, 100) : INVALID;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **gpu) {
    return !strcmp(id, "0000:65:00.0") ? MADE(gpu, 100) : ABSENT;
}
int nvmlDeviceGetName(void *gpu, char *text, u32 size) {
    return strncpy(text, (size_t)gpu == 100 ? "NVIDIA H100 80GB HBM3" : "NVIDIA A10", size), !ON(gpu) * INVALID;
}
int nvmlDeviceGetUUID(void *gpu, char *text, u32 size) { return strncpy(text, "GPU-0", size), !ON(gpu) * INVALID; }
int nvmlDeviceGetPciInfo_v3(void *gpu, pci *found) { return strcpy(found->bus_id, "00000000:65:00.0"), !ON(gpu) * INVALID; }
int nvmlDeviceGetMemoryInfo(void *gpu, memory *found) { return TELL(found, ((memory){85520809984, 85000000000, 520809984})); }
int nvmlDeviceGetEccMode(void *gpu, u32 *now, u32 *pending) { return *pending = 0, TELL(now, 1); }
int nvmlDeviceGetTotalEccErrors(void *gpu, u32 kind, u32 counter, u64 *count) {
    return TELL(count, kind == 1 && counter == 0 ? 4 : 99);
}
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor) { return *minor = 1, TELL(major, 9); }
int nvmlDeviceGetMigMode(void *gpu, u32 *now, u32 *pending) { return *pending = 1, TELL(now, 0); }
int nvmlDeviceGetPersistenceMode(void *gpu, u32 *mode) { return TELL(mode, 1); }
int nvmlDeviceGetEnforcedPowerLimit(void *gpu, u32 *milliwatts) { return TELL(milliwatts, 700000); }
int nvmlDeviceGetMaxClockInfo(void *gpu, u32 kind, u32 *mhz) { return TELL(mhz, kind == 1 ? 1980 : kind == 2 ? 2619 : 1); }
int nvmlDeviceGetClockInfo(void *gpu, u32 kind, u32 *mhz) { return TELL(mhz, kind == 1 ? 1755 : kind == 2 ? 2600 : 1); }
int nvmlDeviceGetComputeMode(void *gpu, u32 *mode) { return TELL(mode, 3); }
#ifdef OLDER
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, u64 *reasons) { return TELL(reasons, 0x8); }
#else
int nvmlDeviceGetCurrentClocksEventReasons(void *gpu, u64 *reasons) { return TELL(reasons, ++looks == 1 ? 0x4 : 0x20); }
int nvmlDeviceGetTotalEnergyConsumption(void *gpu, u64 *millijoules) { return TELL(millijoules, 1000000 + 2500 * looks); }
#endif
int nvmlDeviceGetPowerUsage(void *gpu, u32 *milliwatts) { return TELL(milliwatts, 412500); }
int nvmlDeviceGetTemperature(void *gpu, u32 sensor, u32 *degrees) { return TELL(degrees, sensor == 0 ? 61 : 99); }
int nvmlDeviceGetUtilizationRates(void *gpu, rates *found) { return TELL(found, ((rates){97, 40})); }
int nvmlDeviceGetViolationStatus(void *gpu, u32 policy, violation *found) {
    /* 0 is power, 1 is heat; nanoseconds */
    return policy > 1 ? UNSUPPORTED : TELL(found, ((violation){5, policy ? 7000000ULL * looks : 90000000ULL * looks}));
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, u32 *count, process *found) {
    u32 room = *count;
    *count = 2;
    if (room < 2) return TOO_SMALL;
    found[0] = (process){4321, 1 << 30, 0, 0};
    found[1] = (process){4322, ~0ULL, 0, 0};
    return !ON(gpu) * INVALID;
}
/* This process's own number comes in by the variable that the test sets. */
u32 own_pid = 0;
int nvmlDeviceGetProcessUtilization(void *gpu, used *found, u32 *count, u64 since) {
    u32 room = *count;
    if (since >= 2000) return ABSENT;
    *count = 3;
    if (room < 3) return TOO_SMALL;
    found[0] = (used){own_pid, 1000, 60, 0, 0, 0};
    found[1] = (used){1, 1500, 12, 0, 0, 0};
    found[2] = (used){1, 2000, 30, 0, 0, 0};
    return !ON(gpu) * INVALID;
}

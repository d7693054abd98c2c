/* The driver's functions that isobench calls, on host memory and without a GPU: to try how they are called.
   With HEADER, the real cuda.h checks that these are the driver's own signatures. */
#include <stdlib.h>
#include <string.h>
#ifdef HEADER
#include <cuda.h>
#else
typedef int CUresult, CUdevice, CUstreamCaptureMode;
typedef unsigned long long CUdeviceptr;
typedef void *CUcontext, *CUstream, *CUevent, *CUgraph, *CUgraphExec;
#define CUDAAPI
#define cuMemAlloc cuMemAlloc_v2
#define cuMemAllocHost cuMemAllocHost_v2
#define cuMemcpyHtoDAsync cuMemcpyHtoDAsync_v2
#define cuMemcpyDtoHAsync cuMemcpyDtoHAsync_v2
#define cuStreamBeginCapture cuStreamBeginCapture_v2
#endif
#undef cuEventElapsedTime
#define MADE(pointer, number) (*(pointer) = (void *)(size_t)(number), 0)

CUresult CUDAAPI cuInit(unsigned int flags) { return flags; }
CUresult CUDAAPI cuDeviceGet(CUdevice *device, int ordinal) { return *device = ordinal; }
CUresult CUDAAPI cuDeviceGetPCIBusId(char *text, int size, CUdevice device) {
    strncpy(text, "0000:65:00.0", size);
    return device;
}
CUresult CUDAAPI cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) { return MADE(context, 11 + device); }
CUresult CUDAAPI cuCtxSetCurrent(CUcontext context) { return context != (void *)11; }
CUresult CUDAAPI cuCtxSynchronize(void) { return 0; }
CUresult CUDAAPI cuStreamCreate(CUstream *stream, unsigned int flags) { return MADE(stream, 20 + flags); }
CUresult CUDAAPI cuStreamSynchronize(CUstream stream) { return stream != (void *)21; }
CUresult CUDAAPI cuEventCreate(CUevent *event, unsigned int flags) { return MADE(event, 30 + flags); }
CUresult CUDAAPI cuEventRecord(CUevent event, CUstream stream) { return event != (void *)30 || stream != (void *)21; }
CUresult CUDAAPI cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
    *milliseconds = 2.5f;
    return start == NULL || end == NULL;
}
CUresult CUDAAPI cuMemAlloc(CUdeviceptr *address, size_t size) {
    *address = (CUdeviceptr)(size_t)malloc(size);
    return size == 0;
}
CUresult CUDAAPI cuMemAllocHost(void **address, size_t size) { return (*address = malloc(size)) == NULL || size == 0; }
CUresult CUDAAPI cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    memcpy((void *)(size_t)to, from, size);
    return stream != (void *)21;
}
CUresult CUDAAPI cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    memcpy(to, (void *)(size_t)from, size);
    return stream != (void *)21;
}
CUresult CUDAAPI cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    return stream != (void *)21 || mode != 1;
}
CUresult CUDAAPI cuStreamEndCapture(CUstream stream, CUgraph *graph) { return MADE(graph, 40) + (stream == NULL); }
CUresult CUDAAPI cuGraphInstantiateWithFlags(CUgraphExec *made, CUgraph graph, unsigned long long flags) {
    return MADE(made, 50 + flags) + (graph != (void *)40);
}
CUresult CUDAAPI cuGraphLaunch(CUgraphExec graph, CUstream stream) {
    return graph != (void *)50 || stream != (void *)21;
}
CUresult CUDAAPI cuGetErrorString(CUresult error, const char **text) {
    *text = "invalid argument";
    return error == 0;
}

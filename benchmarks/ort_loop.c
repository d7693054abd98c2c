/* The shortest possible loop around ONNX Runtime: its C API from C, one calling thread, buffers bound beforehand.

   cc -O2 -o ort_loop ort_loop.c -ldl
   ort_loop LIBRARY MODEL INPUT_FLOATS THREADS WARMUP SECONDS DIM...    (one float32 input, one output)

   Prints the median, the mean and the number of iterations: "median_s mean_s iterations". The runtime's wheel has
   the library without its header, so the part of its function table that is used here (its order never changes) is
   declared below. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    GET_ERROR_MESSAGE = 2, CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_SESSION_OPTIONS = 10,
    SET_GRAPH_OPTIMIZATION = 23, SET_INTRA_THREADS = 24, SET_INTER_THREADS = 25, INPUT_NAME = 36, OUTPUT_NAME = 37,
    CREATE_TENSOR_WITH_DATA = 49, CREATE_CPU_MEMORY = 69, GET_ALLOCATOR = 78
};
enum { API_VERSION = 16, WARNING = 2, ENABLE_ALL = 99, ARENA = 1, DEFAULT_MEMORY = 0, FLOAT = 1, MOST_DIMS = 8 };

typedef void *(*function)();
static function *api;

static void check(void *status) {
    if (status) {
        fprintf(stderr, "%s\n", ((const char *(*)(void *))api[GET_ERROR_MESSAGE])(status));
        exit(1);
    }
}

static int64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static int ascending(const void *one, const void *other) {
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc < 8 || argc > 7 + MOST_DIMS) {
        fprintf(stderr, "usage: %s LIBRARY MODEL INPUT_FLOATS THREADS WARMUP SECONDS DIM...\n", argv[0]);
        return 2;
    }
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    void **base = ((void **(*)(void))dlsym(library, "OrtGetApiBase"))();
    api = ((function *(*)(uint32_t))base[0])(API_VERSION);

    int64_t dims[MOST_DIMS], elements = 1;
    size_t rank = (size_t)argc - 7;
    for (size_t i = 0; i < rank; i++)
        elements *= dims[i] = atoll(argv[7 + i]);
    float *data = malloc(elements * sizeof *data);
    FILE *file = fopen(argv[3], "rb");
    if (!file || fread(data, sizeof *data, elements, file) != (size_t)elements) {
        fprintf(stderr, "%s doesn't hold %lld floats\n", argv[3], (long long)elements);
        return 1;
    }

    void *env, *options, *session, *memory, *allocator, *input, *output = NULL;
    char *input_name, *output_name;
    check(api[CREATE_ENV](WARNING, "loop", &env));
    check(api[CREATE_SESSION_OPTIONS](&options));
    check(api[SET_GRAPH_OPTIMIZATION](options, ENABLE_ALL));
    check(api[SET_INTRA_THREADS](options, atoi(argv[4])));
    check(api[SET_INTER_THREADS](options, 1));
    check(api[CREATE_SESSION](env, argv[2], options, &session));
    check(api[GET_ALLOCATOR](&allocator));
    check(api[INPUT_NAME](session, (size_t)0, allocator, &input_name));
    check(api[OUTPUT_NAME](session, (size_t)0, allocator, &output_name));
    check(api[CREATE_CPU_MEMORY](ARENA, DEFAULT_MEMORY, &memory));
    check(api[CREATE_TENSOR_WITH_DATA](memory, data, elements * sizeof *data, dims, rank, FLOAT, &input));

    const char *inputs[] = {input_name}, *outputs[] = {output_name};
    const void *given[] = {input};
    /* The first run makes the output; later ones write into the same memory. */
    for (long i = atol(argv[5]); i > 0; i--)
        check(api[RUN](session, NULL, inputs, given, (size_t)1, outputs, (size_t)1, &output));

    size_t most = 1 << 24, count = 0;
    int64_t *samples = malloc(most * sizeof *samples), end = now() + (int64_t)(atof(argv[6]) * 1e9), sum = 0, at;
    do {
        int64_t started = now();
        check(api[RUN](session, NULL, inputs, given, (size_t)1, outputs, (size_t)1, &output));
        samples[count++] = (at = now()) - started;
        sum += samples[count - 1];
    } while (at < end && count < most);
    qsort(samples, count, sizeof *samples, ascending);
    printf("%.9g %.9g %zu\n", samples[count / 2] / 1e9, sum / 1e9 / count, count);
    fflush(stdout);
    _Exit(0);
}

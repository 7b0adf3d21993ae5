/* Laid under the program by LD_PRELOAD: what becomes of its process when GDAL reads the pixels of one file. The
 * fault strikes inside native code, as a bad disk or a bug in a decoder would. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whoever opens a file reads less than this. */
static const long HEADER = 65536;

static void strike(int fd, long from) {
    const char *file = getenv("SWATH_TEST_FAULT_FILE"), *fault = getenv("SWATH_TEST_FAULT");
    char link[64], path[4096];
    if (!file || !fault || from < HEADER) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return;
    path[n] = 0;
    if (!strstr(path, file)) return;
    if (!strcmp(fault, "crash")) *(volatile int *)8 = 1;
    while (!strcmp(fault, "hang")) pause();
    while (!strcmp(fault, "gorge")) {
        char *more = malloc(1 << 20);
        if (more) memset(more, 1, 1 << 20);
    }
}

size_t fread(void *to, size_t size, size_t n, FILE *file) {
    static size_t (*real)(void *, size_t, size_t, FILE *);
    if (!real) real = (size_t(*)(void *, size_t, size_t, FILE *))dlsym(RTLD_NEXT, "fread");
    strike(fileno(file), ftell(file));
    return real(to, size, n, file);
}

ssize_t pread(int fd, void *to, size_t n, off_t from) {
    static ssize_t (*real)(int, void *, size_t, off_t);
    if (!real) real = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
    strike(fd, from);
    return real(fd, to, n, from);
}

ssize_t pread64(int fd, void *to, size_t n, off64_t from) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    strike(fd, from);
    return real(fd, to, n, from);
}

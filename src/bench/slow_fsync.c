/* Loaded before the C library of a PostgreSQL server: every flush to the disk takes one millisecond longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

typedef int (*flush_t)(int);

static int slowly(const char *name, int file)
{
    struct timespec pause = {0, 1000000};
    flush_t flush = (flush_t)dlsym(RTLD_NEXT, name);
    nanosleep(&pause, 0);
    return flush(file);
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }

/* The clock of time.monotonic(), without a call into Python. */
#include <time.h>

static inline double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Waiting for events of file descriptors, without objects for them (epoll(7), eventfd(2)). */
#ifdef __linux__
#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOONER_EVENTS 256   /* read at once; what is ready beyond comes with the next call */

typedef struct {
    struct epoll_event items[SOONER_EVENTS];
} EpollEvents;

#define epoll_wait_for(epoll, epoll_fd, buffer, timeout) sooner_epoll_wait(epoll_fd, (buffer).items, timeout)
#define event_fd(buffer, i) ((buffer).items[i].data.fd)
#define event_mask(buffer, i) ((int)(buffer).items[i].events)

/* Kernels before 5.11, and some sandboxes, have no epoll_pwait2: then timeouts are rounded up to a millisecond. */
static int sooner_has_pwait2 = 1;

static int sooner_epoll_wait_once(int epoll_fd, struct epoll_event *items, double timeout) {
    if (timeout == 0)
        return epoll_wait(epoll_fd, items, SOONER_EVENTS, 0);
    if (timeout < 0)
        return epoll_wait(epoll_fd, items, SOONER_EVENTS, -1);
#ifdef SYS_epoll_pwait2
    if (sooner_has_pwait2) {
        struct timespec spec = {(time_t)timeout, (long)((timeout - (double)(time_t)timeout) * 1e9)};
        int count = (int)syscall(SYS_epoll_pwait2, epoll_fd, items, SOONER_EVENTS, &spec, NULL, (size_t)8);
        if (count >= 0 || errno == EINTR)
            return count;
        sooner_has_pwait2 = 0;
    }
#endif
    return epoll_wait(epoll_fd, items, SOONER_EVENTS, (int)ceil(timeout * 1e3));
}

/* Wait for timeout seconds (0: poll, keeping the GIL; < 0: for ever); the number of events; signal handlers have run. */
CYTHON_UNUSED static int sooner_epoll_wait(int epoll_fd, struct epoll_event *items, double timeout) {
    int count;
    if (timeout == 0)
        count = sooner_epoll_wait_once(epoll_fd, items, timeout);
    else {
        Py_BEGIN_ALLOW_THREADS
        count = sooner_epoll_wait_once(epoll_fd, items, timeout);
        Py_END_ALLOW_THREADS
    }
    if (count < 0) {
        if (errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        count = 0;
    }
    return PyErr_CheckSignals() ? -1 : count;
}

/* Add, change or delete what is asked of a file: EPOLL_CTL_*. */
CYTHON_UNUSED static int sooner_epoll_change(int epoll_fd, int change, int fd, int events) {
    struct epoll_event event = {.events = (uint32_t)events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, change, fd, &event)) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

#define epoll_change(epoll, epoll_fd, change, fd, events) sooner_epoll_change(epoll_fd, change, fd, events)

/* Add one to an eventfd; a full one (EAGAIN) wakes just as well. */
CYTHON_UNUSED static int event_write(int fd) {
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0) {
        if (errno == EAGAIN)
            break;
        if (errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
    }
    return 0;
}

CYTHON_UNUSED static int event_read(int fd) {
    uint64_t value;
    if (read(fd, &value, sizeof value) < 0 && errno != EAGAIN && errno != EINTR) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}
#endif

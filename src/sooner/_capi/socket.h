/* Moving bytes through non-blocking sockets, by file descriptor.  None of these waits, so all keep the GIL: releasing it
   costs more than the call.  Where nothing can be moved now (EAGAIN, or a signal came first) they say so: -1, or None. */
#ifndef MS_WINDOWS
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0   /* Python ignores SIGPIPE */
#endif

#ifndef MSG_DONTWAIT
#define MSG_DONTWAIT 0
#endif

#define sooner_must_wait() (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)

/* The bytes that are there, at most so many; b'' at the end of the stream. They are received into a bytes object of
   that size, or, where malloc(3) would ask the system for one, into a large block. */
enum { SOONER_MOST_ASKED_OF_MALLOC = 64 * 1024 };
#define recv_bytes(fd, most, large) sooner_recv(fd, most, &(large))

static PyObject *sooner_received(ssize_t count, const char *memory) {
    if (count >= 0)
        return PyBytes_FromStringAndSize(memory, count);
    if (sooner_must_wait())
        Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
}

CYTHON_UNUSED static PyObject *sooner_recv(int fd, Py_ssize_t most, Block *large) {
    if (most > SOONER_MOST_ASKED_OF_MALLOC && most <= SOONER_LARGE_BLOCK) {
        char *memory = sooner_block_memory(large, SOONER_LARGE_BLOCK);
        return memory == NULL ? NULL : sooner_received(recv(fd, memory, (size_t)most, MSG_DONTWAIT), memory);
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, most);
    if (data == NULL)
        return NULL;
    ssize_t count = recv(fd, PyBytes_AS_STRING(data), (size_t)most, MSG_DONTWAIT);
    if (count == most)
        return data;
    if (count > 0) {
        _PyBytes_Resize(&data, count);
        return data;
    }
    Py_DECREF(data);
    return sooner_received(count, "");
}

/* The same: as many bytes as a large block has room for, in a block. */
#define recv_block(fd, small, large) sooner_recv_block(fd, &(small), &(large))

CYTHON_UNUSED static PyObject *sooner_recv_block(int fd, Block *small, Block *large) {
    char *memory = sooner_block_memory(large, SOONER_LARGE_BLOCK);
    if (memory == NULL)
        return NULL;
    ssize_t count = recv(fd, memory, SOONER_LARGE_BLOCK, MSG_DONTWAIT);
    if (count * SOONER_BLOCK_SHARE >= SOONER_LARGE_BLOCK)
        return sooner_block_filled(large, count);
    return count > 0 ? sooner_block_copy(small, memory, count) : sooner_received(count, memory);
}

/* The same into a writable buffer; how many, or -1. */
CYTHON_UNUSED static Py_ssize_t recv_into(int fd, PyObject *buffer) {
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE))
        return -2;
    ssize_t count = recv(fd, view.buf, (size_t)view.len, 0);
    int error = errno;
    PyBuffer_Release(&view);
    errno = error;
    if (count < 0 && !sooner_must_wait()) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    return count;
}

/* Send a bytes object from an offset on; how many were taken, or -1. */
CYTHON_UNUSED static Py_ssize_t send_bytes(int fd, PyObject *data, Py_ssize_t offset) {
    ssize_t count = send(fd, PyBytes_AS_STRING(data) + offset, (size_t)(PyBytes_GET_SIZE(data) - offset),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && !sooner_must_wait()) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    return count;
}

/* Send a list of bytes objects, the first from an offset on: as many of them as the system takes in one call. */
CYTHON_UNUSED static Py_ssize_t send_vector(int fd, PyObject *chunks, Py_ssize_t offset) {
    struct iovec parts[IOV_MAX < 64 ? IOV_MAX : 64];
    Py_ssize_t count = PyList_GET_SIZE(chunks), room = (Py_ssize_t)(sizeof parts / sizeof parts[0]);
    if (count > room)
        count = room;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *chunk = PyList_GET_ITEM(chunks, i);
        Py_ssize_t skipped = i == 0 ? offset : 0;
        parts[i].iov_base = PyBytes_AS_STRING(chunk) + skipped;
        parts[i].iov_len = (size_t)(PyBytes_GET_SIZE(chunk) - skipped);
    }
    struct msghdr message = {0};
    message.msg_iov = parts;
    message.msg_iovlen = (size_t)count;
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0 && !sooner_must_wait()) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    return sent;
}

/* A copy of the bytes of a bytes-like object, if they are `most` or fewer and lie in one piece; else None. In a
   block if it fits. */
#define copy_bytes(data, most, block) sooner_copy(data, most, &(block))

CYTHON_UNUSED static PyObject *sooner_copy(PyObject *data, Py_ssize_t most, Block *block) {
    Py_buffer view;
    PyObject *copy;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)) {
        if (!PyErr_ExceptionMatches(PyExc_BufferError))
            return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    copy = view.len > most ? Py_NewRef(Py_None) : sooner_block_copy(block, view.buf, view.len);
    PyBuffer_Release(&view);
    return copy;
}

/* Accepting a TCP connection: what its ends are called is only made Python's when somebody asks. */
typedef union {
    struct sockaddr any;
    struct sockaddr_in inet;
    struct sockaddr_in6 inet6;
} sooner_address;

typedef struct {
    sooner_address peer, own;
} Endpoints;

#define accept_stream(sock, fd, ends) ((void)(sock), sooner_accept(fd, &(ends)))
#define peer_address(ends) sooner_address_tuple(&(ends).peer)
#define own_address(ends) sooner_address_tuple(&(ends).own)

/* The file descriptor of a connection that waits, non-blocking and without delay of small writes; -1: none waits. */
CYTHON_UNUSED static int sooner_accept(int listener, Endpoints *ends) {
    socklen_t size = sizeof ends->peer;
    int one = 1;
#ifdef SOCK_NONBLOCK
    int fd = accept4(listener, &ends->peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int fd = accept(listener, &ends->peer.any, &size);
    if (fd >= 0 && (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))) {
        close(fd);
        fd = -1;
    }
#endif
    if (fd < 0) {
        if (sooner_must_wait() || errno == ECONNABORTED)
            return -1;
        PyErr_SetFromErrno(PyExc_OSError);
        return -2;
    }
    size = sizeof ends->own;
    if (getsockname(fd, &ends->own.any, &size))
        ends->own.any.sa_family = AF_UNSPEC;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   /* no TCP, or gone: no harm */
    return fd;
}

/* As the methods of Python's sockets tell it: (host, port), or (host, port, flow, scope); None if it is not known. */
CYTHON_UNUSED static PyObject *sooner_address_tuple(const sooner_address *address) {
    char host[INET6_ADDRSTRLEN];
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->inet.sin_addr, host, sizeof host);
        return Py_BuildValue("si", host, (int)ntohs(address->inet.sin_port));
    }
    if (address->any.sa_family != AF_INET6)
        Py_RETURN_NONE;
    inet_ntop(AF_INET6, &address->inet6.sin6_addr, host, sizeof host);
    return Py_BuildValue("siII", host, (int)ntohs(address->inet6.sin6_port),
                         (unsigned)ntohl(address->inet6.sin6_flowinfo), (unsigned)address->inet6.sin6_scope_id);
}
#endif

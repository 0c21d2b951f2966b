/* Moving bytes through non-blocking sockets, by file descriptor.  None of these waits, so all keep the GIL: releasing it
   costs more than the call.  Where nothing can be moved now (EAGAIN, or a signal came first) they say so: -1, or None. */
#ifndef MS_WINDOWS
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0   /* Python ignores SIGPIPE */
#endif

#define sooner_must_wait() (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)

/* The bytes that are there, at most size of them; b'' at the end of the stream. */
CYTHON_UNUSED static PyObject *recv_bytes(int fd, Py_ssize_t size) {
    PyObject *data = PyBytes_FromStringAndSize(NULL, size);
    if (data == NULL)
        return NULL;
    ssize_t count = recv(fd, PyBytes_AS_STRING(data), (size_t)size, 0);
    if (count == size)
        return data;
    if (count > 0) {
        _PyBytes_Resize(&data, count);
        return data;
    }
    Py_DECREF(data);
    if (count == 0)
        return PyBytes_FromStringAndSize(NULL, 0);
    if (sooner_must_wait())
        Py_RETURN_NONE;
    return PyErr_SetFromErrno(PyExc_OSError);
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
    ssize_t count = send(fd, PyBytes_AS_STRING(data) + offset, (size_t)(PyBytes_GET_SIZE(data) - offset), MSG_NOSIGNAL);
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
#endif

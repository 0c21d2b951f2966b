/* Bytes objects. */
#include <string.h>

/* Where wanted bytes, at least one, are found from a place on; -1 if they are not. */
CYTHON_UNUSED static Py_ssize_t find_bytes(PyObject *data, PyObject *wanted, Py_ssize_t start) {
    const char *bytes = PyBytes_AS_STRING(data), *found;
    Py_ssize_t left = PyBytes_GET_SIZE(data) - start;
    if (left < PyBytes_GET_SIZE(wanted))
        return -1;
    if (PyBytes_GET_SIZE(wanted) == 1)
        found = memchr(bytes + start, *PyBytes_AS_STRING(wanted), (size_t)left);
    else
        found = memmem(bytes + start, (size_t)left, PyBytes_AS_STRING(wanted), (size_t)PyBytes_GET_SIZE(wanted));
    return found == NULL ? -1 : found - bytes;
}

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

/* A bytes object whose memory is filled anew as long as nobody keeps it: that spares a malloc(3) and a free(3), which
   take long for more than a kilobyte. If it was kept it occupies all of its memory, however few bytes it holds; so the
   next ones are then made in the usual way. */
enum { SOONER_BLOCK = 4096, SOONER_BLOCK_PAUSE = 64 };

typedef struct {
    PyObject *bytes;
    int pause;
} Block;

#define block_clear(block) Py_CLEAR((block).bytes)

/* The block's object, of which nobody knows, borrowed; NULL without an exception if there should be none. */
CYTHON_UNUSED static PyObject *sooner_block_bytes(Block *block) {
#ifndef Py_GIL_DISABLED
    if (block->bytes != NULL && !unshared(block->bytes)) {
        Py_CLEAR(block->bytes);
        block->pause = SOONER_BLOCK_PAUSE;
    }
    if (block->bytes == NULL && --block->pause < 0) {
        block->bytes = PyBytes_FromStringAndSize(NULL, SOONER_BLOCK);
        if (block->bytes == NULL)
            PyErr_Clear();
    }
#endif
    return block->bytes;
}

/* The same object, for others: it holds that many bytes now, fewer than there is room for. */
CYTHON_UNUSED static PyObject *sooner_block_filled(PyObject *bytes, Py_ssize_t size) {
    Py_SET_SIZE((PyVarObject *)bytes, size);
    PyBytes_AS_STRING(bytes)[size] = 0;
    _Py_COMP_DIAG_PUSH
    _Py_COMP_DIAG_IGNORE_DEPR_DECLS
    ((PyBytesObject *)bytes)->ob_shash = -1;   /* of what it held before */
    _Py_COMP_DIAG_POP
    return Py_NewRef(bytes);
}

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

/* A bytes object whose memory is filled anew as long as nobody keeps it: that spares a malloc(3) and a free(3) each
   time, which take long for more than a kilobyte, and for a hundred ask the system for memory and give it back. If it
   was kept it occupies all of its memory, however few bytes it holds; so what comes next is copied for a while, which
   grows each time that this happens again. */
enum { SOONER_SMALL_BLOCK = 4 * 1024, SOONER_LARGE_BLOCK = 256 * 1024 };
enum { SOONER_SHORTEST_PAUSE = 64, SOONER_LONGEST_PAUSE = 4096 };
/* What is lent fills a quarter of a block at least, so that one that is kept wastes no more than three times as much. */
enum { SOONER_BLOCK_SHARE = 4 };

typedef struct {
    PyObject *bytes;
    int lent;                /* whether others were given it since it was last asked for */
    int pause, last_pause;   /* how many are to be copied yet; how many were to be, the last time */
} Block;

#define block_clear(block) Py_CLEAR((block).bytes)

/* The block's memory, of which nobody knows: always as much, and at least one byte. NULL if there is none. */
CYTHON_UNUSED static char *sooner_block_memory(Block *block, Py_ssize_t room) {
    if (block->lent) {
        block->lent = 0;
        if (unshared(block->bytes))
            block->last_pause = 0;
        else {
            Py_CLEAR(block->bytes);
            block->last_pause = Py_MAX(SOONER_SHORTEST_PAUSE, Py_MIN(2 * block->last_pause, SOONER_LONGEST_PAUSE));
            block->pause = block->last_pause;
        }
    }
    if (block->bytes == NULL && (block->bytes = PyBytes_FromStringAndSize(NULL, room)) == NULL)
        return NULL;
    return PyBytes_AS_STRING(block->bytes);
}

/* What was put into the block's memory, at least one byte: the block itself, or a copy. */
CYTHON_UNUSED static PyObject *sooner_block_filled(Block *block, Py_ssize_t size) {
    PyObject *bytes = block->bytes;
#ifndef Py_GIL_DISABLED
    if (block->pause == 0) {
        block->lent = 1;
        Py_SET_SIZE((PyVarObject *)bytes, size);
        PyBytes_AS_STRING(bytes)[size] = 0;
        _Py_COMP_DIAG_PUSH
        _Py_COMP_DIAG_IGNORE_DEPR_DECLS
        ((PyBytesObject *)bytes)->ob_shash = -1;   /* of what it held before */
        _Py_COMP_DIAG_POP
        return Py_NewRef(bytes);
    }
    block->pause--;
#endif
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(bytes), size);
}

/* A copy, in a small block if it fills that well enough. */
CYTHON_UNUSED static PyObject *sooner_block_copy(Block *block, const char *from, Py_ssize_t size) {
    if (size > SOONER_SMALL_BLOCK || size * SOONER_BLOCK_SHARE < SOONER_SMALL_BLOCK)
        return PyBytes_FromStringAndSize(from, size);
    char *memory = sooner_block_memory(block, SOONER_SMALL_BLOCK);
    if (memory == NULL)
        return NULL;
    if (block->pause > 0) {
        block->pause--;
        return PyBytes_FromStringAndSize(from, size);
    }
    memcpy(memory, from, (size_t)size);
    return sooner_block_filled(block, size);
}

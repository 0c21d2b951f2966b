/* The C behind _capi/__init__.pxd, a concept a file; _capi/__init__.py has the same names in Python. */
#ifndef SOONER_CAPI_H
#define SOONER_CAPI_H

#include "Python.h"

/* State that is only safe because one thread at a time holds the GIL gets a copy a thread where there is none. */
#ifdef Py_GIL_DISABLED
#define SOONER_STATIC static _Thread_local
#else
#define SOONER_STATIC static
#endif

#if PY_VERSION_HEX < 0x030C0000
CYTHON_UNUSED static PyObject *PyErr_GetRaisedException(void) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_XDECREF(type);
    return value;
}
CYTHON_UNUSED static void PyErr_SetRaisedException(PyObject *value) {
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(value)), value, PyException_GetTraceback(value));
}
#endif

#ifdef Py_GIL_DISABLED
#define unshared(object) PyUnstable_Object_IsUniquelyReferenced(object)
#else
#define unshared(object) (Py_REFCNT(object) == 1)
#endif

/* Nobody but one caller knows of the object, which has room for weak references. */
#define reusable(object) (unshared(object) && *(PyObject **)((char *)(object) + Py_TYPE(object)->tp_weaklistoffset) == NULL)

#define identity_hash(object) ((Py_hash_t)((uintptr_t)(object) >> 4))

#define cython_version() PyUnicode_FromString(CYTHON_ABI)

/* The rule of a version, known when compiled so that the other branch costs nothing. */
enum {
    CURRENT_TASK_IN_THREAD = PY_VERSION_HEX >= 0x030E0000,
};

#include "clock.h"
#include "ring.h"
#include "tasklist.h"
#include "timers.h"
#include "lifetime.h"
#include "methods.h"
#include "context.h"
#include "coroutine.h"
#include "current.h"
#include "bytes.h"
#include "epoll.h"
#include "socket.h"
#include "datagram.h"
#endif

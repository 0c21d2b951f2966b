/* Contexts (PEP 567): calling in one, and one copy for all callbacks that are scheduled while nothing changes. */

/* A Context is a mutable holder of an immutable mapping, in Modules: Python/context.c, struct _pycontextobject
   { PyObject_HEAD; ctx_prev; ctx_vars; ... }.  The field is private: sooner_vars_known() tells at run time
   whether it is where we think; if not, every callback gets a copy of its own, as in asyncio. */
#define SOONER_VARS(context) (*(PyObject **)((char *)(context) + sizeof(PyObject) + sizeof(void *)))

static int sooner_vars_state;   /* 0: not asked yet, 1: known, -1: unknown */

static int sooner_vars_known(void) {
    if (sooner_vars_state == 0) {
        sooner_vars_state = -1;
#ifndef Py_GIL_DISABLED
        PyObject *context = PyContext_New(), *copy = context ? PyContext_Copy(context) : NULL;
        if (copy != NULL && Py_TYPE(context)->tp_basicsize >= (Py_ssize_t)(sizeof(PyObject) + 3 * sizeof(void *))) {
            PyObject *vars = SOONER_VARS(context);
            if (vars != NULL && vars == SOONER_VARS(copy) && strcmp(Py_TYPE(vars)->tp_name, "hamt") == 0)
                sooner_vars_state = 1;
        }
        PyErr_Clear();
        Py_XDECREF(context);
        Py_XDECREF(copy);
#endif
    }
    return sooner_vars_state > 0;
}

SOONER_STATIC PyObject *sooner_snapshot;   /* the last copy of a current context, never entered */
SOONER_STATIC PyObject *sooner_scratch;    /* the last copy made of a snapshot, to be entered */

/* A copy of the current context that is only read: see sooner_enterable(). */
CYTHON_UNUSED static PyObject *snapshot_context(void) {
    PyObject *current = PyThreadState_Get()->context;
    if (sooner_snapshot != NULL && current != NULL && SOONER_VARS(current) == SOONER_VARS(sooner_snapshot))
        return Py_NewRef(sooner_snapshot);
    PyObject *copy = PyContext_CopyCurrent();
    if (copy != NULL && sooner_vars_known())
        Py_XSETREF(sooner_snapshot, Py_NewRef(copy));
    return copy;
}

/* A context equal to the snapshot that nobody else has or has changed. */
static PyObject *sooner_enterable(PyObject *snapshot) {
    if (!sooner_vars_known())
        return Py_NewRef(snapshot);
    PyObject *scratch = sooner_scratch;
    if (scratch != NULL && SOONER_VARS(scratch) == SOONER_VARS(snapshot) && unshared(scratch))
        return Py_NewRef(scratch);
    scratch = PyContext_Copy(snapshot);
    if (scratch != NULL)
        Py_XSETREF(sooner_scratch, Py_NewRef(scratch));
    return scratch;
}

/* The context of the last call in a shared one that failed (of the same extension module: statics are not shared). */
SOONER_STATIC PyObject *sooner_failed;

#define failed_context(context) Py_NewRef(sooner_failed ? sooner_failed : (context))

/* Calls return the exception instead of raising it, and None when there is none. */
CYTHON_UNUSED static PyObject *sooner_call(PyObject *context, int shared, PyObject *callback, PyObject *const *args, size_t count) {
    PyObject *result;
    context = shared ? sooner_enterable(context) : Py_NewRef(context);
    if (context == NULL || PyContext_Enter(context)) {
        Py_XDECREF(context);
        return PyErr_GetRaisedException();
    }
    result = PyObject_Vectorcall(callback, args, count, NULL);
    if (result == NULL) {
        result = PyErr_GetRaisedException();
        if (shared)
            Py_XSETREF(sooner_failed, Py_NewRef(context));
    } else
        Py_SETREF(result, Py_NewRef(Py_None));
    if (PyContext_Exit(context)) {   /* it left our context, or entered another and stayed */
        PyObject *error = PyErr_GetRaisedException();
        if (result == Py_None)
            Py_SETREF(result, error);
        else
            Py_DECREF(error);
    }
    Py_DECREF(context);
    return result;
}

/* args: a tuple, or None for no arguments. */
#define context_call(context, shared, callback, args) \
    ((args) == Py_None ? sooner_call(context, shared, callback, NULL, 0) : \
     sooner_call(context, shared, callback, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args)))

CYTHON_UNUSED static PyObject *context_call1(PyObject *context, int shared, PyObject *callback, PyObject *arg) {
    return sooner_call(context, shared, callback, &arg, 1);
}

/* Call a method, by its name, with one argument, or with two, for what it returns; its exception is raised. */
static PyObject *sooner_method_value(PyObject *context, PyObject *object, PyObject *name, PyObject *first, PyObject *second) {
    PyObject *args[3] = {object, first, second};
    if (PyContext_Enter(context))
        return NULL;
    PyObject *result = PyObject_VectorcallMethod(name, args, second != NULL ? 3 : 2, NULL);
    PyObject *failure = result == NULL ? PyErr_GetRaisedException() : NULL;
    if (PyContext_Exit(context))
        Py_CLEAR(result);
    if (failure != NULL)
        PyErr_SetRaisedException(failure);   /* also in the place of what it did to the context */
    return result;
}

/* The same, as the calls above. */
static PyObject *sooner_call_method(PyObject *context, PyObject *object, PyObject *name, PyObject *first, PyObject *second) {
    PyObject *result = sooner_method_value(context, object, name, first, second);
    if (result == NULL)
        return PyErr_GetRaisedException();
    Py_DECREF(result);
    Py_RETURN_NONE;
}

#define context_value1(context, object, name, arg) sooner_method_value(context, object, name, arg, NULL)
#define context_method1(context, object, name, arg) sooner_call_method(context, object, name, arg, NULL)
#define context_method2(context, object, name, first, second) sooner_call_method(context, object, name, first, second)

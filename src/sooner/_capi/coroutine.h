/* Resuming a coroutine, and finishing an await. */

enum { YIELDED = 0, RETURNED = 1, RAISED = 2, REFUSED = 3 };

#define is_coroutine(object) PyCoro_CheckExact(object)

/* What the last coro_send() or coro_throw() of this module gave: read it at once. */
SOONER_STATIC int sooner_sent;
#define sent_status() sooner_sent

/* context: None if the caller is in it already. */
CYTHON_UNUSED static PyObject *coro_send(PyObject *context, PyObject *coro) {
    PyObject *result = NULL;
    if (context != Py_None && PyContext_Enter(context)) {
        sooner_sent = REFUSED;
        return PyErr_GetRaisedException();
    }
    PySendResult sent = PyIter_Send(coro, Py_None, &result);
    if (sent == PYGEN_ERROR)
        result = PyErr_GetRaisedException();
    if (context != Py_None && PyContext_Exit(context))
        PyErr_WriteUnraisable(context);
    sooner_sent = sent == PYGEN_NEXT ? YIELDED : sent == PYGEN_RETURN ? RETURNED : RAISED;
    return result;
}

CYTHON_UNUSED static PyObject *coro_throw(PyObject *context, PyObject *coro, PyObject *exc) {
    int status = YIELDED;
    if (context != Py_None && PyContext_Enter(context)) {
        sooner_sent = REFUSED;
        return PyErr_GetRaisedException();
    }
    static PyObject *name;
    if (name == NULL)
        name = PyUnicode_InternFromString("throw");
    PyObject *result = name ? PyObject_CallMethodOneArg(coro, name, exc) : NULL;
    if (result == NULL) {
        result = PyErr_GetRaisedException();
        status = RAISED;
        if (PyErr_GivenExceptionMatches(result, PyExc_StopIteration)) {
            Py_SETREF(result, Py_NewRef(((PyStopIterationObject *)result)->value));
            status = RETURNED;
        }
    }
    if (context != Py_None && PyContext_Exit(context))
        PyErr_WriteUnraisable(context);
    sooner_sent = status;
    return result;
}

static inline void sooner_set_value(PyStopIterationObject *stop, PyObject *value) {
    PyObject *old = PyTuple_GET_ITEM(stop->args, 0);
    PyTuple_SET_ITEM(stop->args, 0, Py_NewRef(value));
    Py_DECREF(old);   /* not the last reference: stop->value is another */
    Py_SETREF(stop->value, Py_NewRef(value));
}

/* Leave StopIteration(value) set.  One instance is used again as long as nobody keeps it. */
SOONER_STATIC PyObject *sooner_stop;

CYTHON_UNUSED static void set_stop_iteration(PyObject *value) {
    PyStopIterationObject *stop = (PyStopIterationObject *)sooner_stop;
    if (stop != NULL && unshared(stop) && stop->traceback == NULL
            && unshared(stop->args) && PyTuple_GET_SIZE(stop->args) == 1) {
        Py_INCREF(stop);   /* releasing its old value may run any code */
        sooner_set_value(stop, value);
    } else {
        stop = (PyStopIterationObject *)PyObject_CallOneArg(PyExc_StopIteration, value);
        if (stop == NULL)
            return;
        Py_XSETREF(sooner_stop, Py_NewRef((PyObject *)stop));
    }
    PyErr_SetRaisedException((PyObject *)stop);
}

/* Do not keep the last value alive. */
CYTHON_UNUSED static void forget_stop_iteration(void) {
    PyStopIterationObject *stop = (PyStopIterationObject *)sooner_stop;
    if (stop != NULL && stop->value != Py_None && unshared(stop)
            && unshared(stop->args) && PyTuple_GET_SIZE(stop->args) == 1)
        sooner_set_value(stop, Py_None);
}

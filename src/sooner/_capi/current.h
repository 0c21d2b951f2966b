/* The current task, which CPython keeps in the thread's state since 3.14.

   asyncio's way to set it is a function that Python code calls; that costs more than the rest of a step's beginning.
   Its field is private: two words, the running loop and its current task, behind the public part of the thread's state
   (Include/internal/pycore_tstate.h).  So we let that function do its work once, and look where the two have gone: if
   that is not to be seen, the function is called each time.  Whoever reads the current task (asyncio, call graphs,
   debuggers from outside) reads that field. */

static Py_ssize_t sooner_current;   /* offset of the task in the thread's state; 0: not known yet, -1: not to be found */

/* How many words of the private part to look at: it is longer than that in each version that we know. */
#if PY_VERSION_HEX >= 0x03100000 || PY_VERSION_HEX < 0x030E0000 || defined(Py_GIL_DISABLED)
#define SOONER_STATE_WORDS 0
#elif PY_VERSION_HEX >= 0x030F0000
#define SOONER_STATE_WORDS 24
#else
#define SOONER_STATE_WORDS 12
#endif

/* Make a task the current one of the loop that runs in this thread (None: no task); whether that could be done here. */
static inline int replace_current_task(PyObject *loop, PyObject *task) {
    if (sooner_current <= 0)
        return 0;
    PyObject **current = (PyObject **)((char *)PyThreadState_Get() + sooner_current);
    if (current[-1] != loop)
        return 0;
    Py_XSETREF(*current, task == Py_None ? NULL : Py_NewRef(task));
    return 1;
}

/* Do so by asyncio's function, and look where it has put the task. */
CYTHON_UNUSED static PyObject *swap_current_task(PyObject *swap, PyObject *loop, PyObject *task) {
    PyObject *args[2] = {loop, task};
    Py_ssize_t references = Py_REFCNT(task);
    PyObject *previous = PyObject_Vectorcall(swap, args, 2, NULL);
    if (sooner_current == 0 && previous == Py_None && task != Py_None) {
        PyThreadState *state = PyThreadState_Get();
        PyObject **words = (PyObject **)(state + 1);
        sooner_current = -1;
        for (int i = 0; i + 1 < SOONER_STATE_WORDS; i++)
            if (words[i] == loop && words[i + 1] == task && Py_REFCNT(task) == references + 1)
                sooner_current = (char *)&words[i + 1] - (char *)state;
    }
    return previous;
}

/* How instances of Cython's classes come and go: what the garbage collector sees of a Scheduler,
   free lists, and finalizers that are only called where there is something to say. */

/* ---- The references in a Scheduler's Ring, TaskList and TimerHeap, which Cython does not know to be references ---- */

static struct {
    traverseproc traverse;
    inquiry clear;
    Py_ssize_t ready, tasks, timers;   /* offsets */
} sooner_owner;

#define SOONER_READY(self) ((Ring *)((char *)(self) + sooner_owner.ready))
#define SOONER_TASKS(self) ((TaskList *)((char *)(self) + sooner_owner.tasks))
#define SOONER_TIMERS(self) ((TimerHeap *)((char *)(self) + sooner_owner.timers))

CYTHON_UNUSED static int sooner_owner_traverse(PyObject *self, visitproc visit, void *arg) {
    int stop = sooner_owner.traverse(self, visit, arg);
    if (stop == 0)
        stop = sooner_ring_traverse(SOONER_READY(self), visit, arg);
    if (stop == 0)
        stop = sooner_tasks_traverse(SOONER_TASKS(self), visit, arg);
    if (stop == 0)
        stop = sooner_timers_traverse(SOONER_TIMERS(self), visit, arg);
    return stop;
}

CYTHON_UNUSED static int sooner_owner_clear(PyObject *self) {
    sooner_ring_clear(SOONER_READY(self));
    sooner_tasks_clear(SOONER_TASKS(self));
    sooner_timers_clear(SOONER_TIMERS(self));
    return sooner_owner.clear(self);
}

#define show_references(cls, self, ready, tasks, timers) \
    sooner_show_references((PyTypeObject *)(cls), (char *)(self), (char *)&(ready), (char *)&(tasks), (char *)&(timers))

/* Called for each new instance, as only an instance tells the offsets; works once. */
CYTHON_UNUSED static void sooner_show_references(
        PyTypeObject *type, char *self, char *ready, char *tasks, char *timers) {
    if (type->tp_traverse == sooner_owner_traverse)
        return;
    sooner_owner.ready = ready - self;
    sooner_owner.tasks = tasks - self;
    sooner_owner.timers = timers - self;
    sooner_owner.traverse = type->tp_traverse;
    sooner_owner.clear = type->tp_clear;
    type->tp_traverse = sooner_owner_traverse;
    type->tp_clear = sooner_owner_clear;
}

/* ---- One static GC type per extension module whose exact instances are recycled ----
   Unlike @cython.freelist this works with base classes and weak references. */

#define SOONER_FREE_LIST 4096

SOONER_STATIC struct {
    int count;
    PyObject *items[SOONER_FREE_LIST];
} sooner_free;

static struct {
    PyTypeObject *type;
    destructor dealloc;
    traverseproc traverse;
    inquiry clear;
    Py_ssize_t flag, attributes;   /* offsets */
} sooner_recycled;

CYTHON_UNUSED static PyObject *sooner_alloc(PyTypeObject *type, Py_ssize_t nitems) {
    if (type != sooner_recycled.type || sooner_free.count == 0)
        return PyType_GenericAlloc(type, nitems);
    PyObject *object = sooner_free.items[--sooner_free.count];
    memset((char *)object + sizeof(PyObject), 0, (size_t)type->tp_basicsize - sizeof(PyObject));
#ifndef Py_GIL_DISABLED
    ((uintptr_t *)object)[-1] = 0;   /* the second word of PyGC_Head: not "finalized" any more */
#endif
    PyObject_Init(object, type);
    PyObject_GC_Track(object);
    return object;
}

CYTHON_UNUSED static void sooner_release(void *object) {
    if (Py_TYPE((PyObject *)object) == sooner_recycled.type && sooner_free.count < SOONER_FREE_LIST)
        sooner_free.items[sooner_free.count++] = (PyObject *)object;
    else
        PyObject_GC_Del(object);
}

#define recycle(cls) sooner_recycle((PyTypeObject *)(cls))

CYTHON_UNUSED static void sooner_recycle(PyTypeObject *type) {
    sooner_recycled.type = type;
    type->tp_alloc = sooner_alloc;
    type->tp_free = sooner_release;
}

/* ---- The same for a class with a finalizer and room for any attribute, neither of which costs where it is not used:
   tp_finalize is only called if the object's "flag" is not 0 (a call that does nothing costs every object that dies),
   and the __dict__ is only made for who sets an attribute (Cython makes one for each new object, and an object that
   has one looks up its methods slowly).  "attributes" is a pointer, NULL until then. ---- */

#define SOONER_FLAG(self) (*((signed char *)(self) + sooner_recycled.flag))
#define SOONER_ATTRIBUTES(self) (*(PyObject **)((char *)(self) + sooner_recycled.attributes))

/* Cython's tp_dealloc calls tp_finalize only while it is itself the type's tp_dealloc, so not when called from here. */
CYTHON_UNUSED static void sooner_dealloc(PyObject *object) {
    if (SOONER_FLAG(object) && PyObject_CallFinalizerFromDealloc(object))
        return;
    PyObject_GC_UnTrack(object);
    Py_TRASHCAN_BEGIN(object, sooner_dealloc)   /* a long chain of futures must not overflow the C stack */
    Py_CLEAR(SOONER_ATTRIBUTES(object));
    sooner_recycled.dealloc(object);
    Py_TRASHCAN_END
}

CYTHON_UNUSED static int sooner_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(SOONER_ATTRIBUTES(object));
    return sooner_recycled.traverse(object, visit, arg);
}

CYTHON_UNUSED static int sooner_clear(PyObject *object) {
    Py_CLEAR(SOONER_ATTRIBUTES(object));
    return sooner_recycled.clear(object);
}

static PyGetSetDef sooner_dict_descriptor = {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL};

#define recycle_future(cls, sample, flag, attributes) \
    sooner_recycle_future((PyTypeObject *)(cls), (char *)(sample), (char *)&(flag), (char *)&(attributes))

CYTHON_UNUSED static int sooner_recycle_future(PyTypeObject *type, char *sample, char *flag, char *attributes) {
    sooner_recycled.flag = flag - sample;
    sooner_recycled.attributes = attributes - sample;
    sooner_recycled.dealloc = type->tp_dealloc;
    type->tp_dealloc = sooner_dealloc;
    if (type->tp_dictoffset == 0) {   /* not inherited from a class that was here before */
        PyObject *descriptor = PyDescr_NewGetSet(type, &sooner_dict_descriptor);
        if (descriptor == NULL || PyDict_SetItemString(type->tp_dict, "__dict__", descriptor)) {
            Py_XDECREF(descriptor);
            return -1;
        }
        Py_DECREF(descriptor);
        sooner_recycled.traverse = type->tp_traverse;
        sooner_recycled.clear = type->tp_clear;
        type->tp_traverse = sooner_traverse;
        type->tp_clear = sooner_clear;
        type->tp_dictoffset = sooner_recycled.attributes;
        PyType_Modified(type);
    }
    sooner_recycle(type);
    return 0;
}

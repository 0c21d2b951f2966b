# The C side of _capi/__init__.py, which documents these names.  Only cimported: nothing is built for it.

cdef extern from "capi.h":
    # versions
    enum: CURRENT_TASK_IN_THREAD

    bint reusable(object)
    Py_hash_t identity_hash(object)
    double monotonic()
    double as_double "PyFloat_AsDouble" (object) except? -1.0
    object cython_version()

    # ring.h
    ctypedef struct Ring:
        pass
    Py_ssize_t ring_len(Ring)
    int ring_push(Ring, object) except -1
    int ring_push_front(Ring, object) except -1
    object ring_pop(Ring)
    void ring_clear(Ring)

    # tasklist.h
    ctypedef struct TaskList:
        pass
    ctypedef struct TaskLink:
        pass
    void tasks_add(TaskList, TaskLink, object)
    void tasks_discard(TaskList, TaskLink, object)
    Py_ssize_t tasks_len(TaskList)
    object tasks_list(TaskList)
    void tasks_clear(TaskList)

    # timers.h
    ctypedef struct TimerHeap:
        pass
    Py_ssize_t timers_len(TimerHeap)
    int timers_add(TimerHeap, double when, object timer, signed char alive) except -1
    double timers_first(TimerHeap)
    object timers_pop(TimerHeap)
    void timers_died(TimerHeap)
    void timers_clear(TimerHeap)

    # lifetime.h
    void show_references(object cls, object self, Ring, TaskList, TimerHeap)
    void recycle(object cls)
    int recycle_future(object cls, object sample, signed char flag, void *attributes) except -1

    # methods.h
    int copy_methods(object cls, object base) except -1
    bint same_method(object, object)
    int set_attribute "PyObject_GenericSetAttr" (object, object name, object value) except -1
    int delete_attribute(object, object name) except -1

    # context.h
    object copy_context "PyContext_CopyCurrent" ()
    object snapshot_context()
    object context_call(object context, bint shared, object callback, object args)
    object context_call1(object context, bint shared, object callback, object arg)
    object context_method1(object context, object instance, object name, object arg)
    object context_value1(object context, object instance, object name, object arg)
    object context_method2(object context, object instance, object name, object first, object second)
    object failed_context(object context)

    # coroutine.h
    enum: YIELDED
    enum: RETURNED
    enum: RAISED
    enum: REFUSED
    bint is_context "PyContext_CheckExact" (object)
    bint is_coroutine(object)
    object coro_send(object context, object coro)
    object coro_throw(object context, object coro, object exc)
    int sent_status()
    void set_stop_iteration(object value)
    void forget_stop_iteration()

    # current.h
    bint replace_current_task(object loop, object task)
    object swap_current_task(object swap, object loop, object task)

    # bytes.h
    Py_ssize_t find_bytes(bytes data, bytes wanted, Py_ssize_t start)
    ctypedef struct Block:
        pass
    void block_clear(Block)

    # epoll.h
    ctypedef struct EpollEvents:
        pass
    int epoll_wait_for(object epoll, int epoll_fd, EpollEvents, double timeout) except -1
    int event_fd(EpollEvents, int i)
    int event_mask(EpollEvents, int i)
    int epoll_change(object epoll, int epoll_fd, int change, int fd, int events) except -1
    int event_write(int fd) except -1
    int event_read(int fd) except -1

    # socket.h
    object recv_bytes(int fd, Py_ssize_t most, Block large)
    object recv_block(int fd, Block small, Block large)
    Py_ssize_t recv_into(int fd, object buffer) except -2
    Py_ssize_t send_bytes(int fd, bytes data, Py_ssize_t offset) except -2
    Py_ssize_t send_vector(int fd, list chunks, Py_ssize_t offset) except -2
    object copy_bytes(object data, Py_ssize_t most, Block)
    ctypedef struct Endpoints:
        pass
    int accept_stream(object sock, int fd, Endpoints) except -2
    object peer_address(Endpoints)
    object own_address(Endpoints)

    # datagram.h
    object recv_datagram(object sock, int fd)
    object datagram_sender()
    int send_datagram(object sock, int fd, int family, bytes data, object address) except -2

from .._capi cimport (
    CURRENT_TASK_IN_THREAD,
    Ring,
    TaskList,
    TimerHeap,
    cython_version,
    identity_hash,
    replace_current_task,
    ring_clear,
    ring_len,
    ring_pop,
    ring_push,
    ring_push_front,
    show_references,
    swap_current_task,
    tasks_clear,
    tasks_len,
    tasks_list,
    timers_clear,
)

cdef enum:
    OPEN = 0
    WAITING = 1
    CLOSED = 2
    FORKED = 3

cdef class Runnable:
    cdef run(self, Scheduler scheduler)
    cdef tuple wakeup_call(self)

cdef class Outbox(Runnable):
    cdef Outbox _outbox_next
    cdef bint _outbox_waits
    cdef send_outbox(self)

cdef class Scheduler:
    cdef Ring _ready
    cdef TaskList _tasks
    cdef TimerHeap _timers
    cdef Runnable _spare
    cdef int _spares
    cdef int _status
    cdef bint _indirect
    cdef object _current, _published
    cdef unsigned long _thread_id
    cdef long long _tasks_created, _callbacks_run
    cdef Outbox _outbox, _outbox_last
    cdef object __weakref__
    cdef push(self, Runnable runnable)
    cdef end_wait(self)
    cpdef push_ready(self, Runnable runnable)
    cdef check_usable(self)
    cdef publish(self, task)
    cpdef list tasks(self)
    cdef wake(self)
    cdef report(self, BaseException exc, Runnable source)
    cdef report_failure(self, BaseException exc, Runnable runnable)
    cdef bint in_other_thread(self) except -1
    cdef set_current(self, task)
    cdef forget_current(self)
    cdef object swap_current(self, task)
    cdef restore_current(self, previous)
    cdef run_ready(self)
    cdef bint defer_sending(self, Outbox outbox) except -1
    cdef send_outboxes(self)

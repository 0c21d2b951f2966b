from .._capi cimport (
    as_double,
    copy_methods,
    delete_attribute,
    monotonic,
    ring_clear,
    ring_len,
    ring_pop,
    ring_push,
    same_method,
    set_attribute,
    tasks_len,
    timers_add,
    timers_clear,
    timers_first,
    timers_len,
    timers_pop,
)
from .driver cimport Driver
from .future cimport Future, forget_value, new_future
from .handle cimport Handle, ThreadSafeHandle, TimerHandle, failure_context, fill_handle, new_handle
from .scheduler cimport CLOSED, FORKED, OPEN, WAITING, Runnable, Scheduler
from .task cimport Task, new_task

cdef class LoopCore(Scheduler):
    cdef readonly Driver _driver
    cdef object _clock, _task_factory
    cdef public object slow_callback_duration
    cdef readonly bint _debug
    cdef bint _stopping, _eager, _own_time, _own_call_soon
    cdef double _polled, _turn_began, _time_waiting, _time_running, _longest_turn, _longest_callback
    cdef long long _turns, _polls
    cdef double now(self) except? -1
    cdef notice_attribute(self, str name, bint present)
    cdef settle(self)
    cdef str culprit(self, Runnable runnable)
    cdef turn(self)
    cdef poll(self, double now)
    cdef expect_events(self)
    cdef double wait(self, double now) except -1
    cdef fire_timers(self, double now)
    cdef run_ready_debug(self)
    cdef TimerHandle add_timer(self, double when, callback, tuple args, context)
    cdef check_callback(self, callback, str method)
    cdef check_thread(self)

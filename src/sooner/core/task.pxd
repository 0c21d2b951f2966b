from .._capi cimport (
    REFUSED,
    RETURNED,
    YIELDED,
    TaskLink,
    copy_context,
    copy_methods,
    coro_send,
    coro_throw,
    is_context,
    is_coroutine,
    recycle_future,
    sent_status,
    tasks_add,
    tasks_discard,
)
from .future cimport CANCELLED, FINISHED, PENDING, UNFINISHED, UNRETRIEVED, Future
from .scheduler cimport FORKED, Scheduler

cdef long long _last_number

cdef class Task(Future):
    cdef readonly object _coro
    cdef object _task_context, _name, _waiting
    cdef TaskLink _link
    cdef long long _number
    cdef readonly bint _must_cancel
    cdef int _cancel_requests
    cdef start(self, coro, name, context)
    cdef register(self)
    cdef unregister(self)
    cdef complain(self, Scheduler scheduler)
    cdef schedule(self)
    cdef start_eagerly(self)
    cdef due_cancellation(self, BaseException exc)
    cdef resume(self, context, BaseException exc)
    cdef complete(self, value, BaseException error)
    cdef wait_for(self, yielded)
    cdef wait_for_other(self, yielded)
    cdef cancel_awaited(self, future)
    cdef refuse(self, str words)

cdef bint cancel_future(future, msg) except -1
cdef loop_of(future)
cdef swap_foreign_task(loop, task)
cdef Task new_task(Scheduler scheduler, coro, name, context)

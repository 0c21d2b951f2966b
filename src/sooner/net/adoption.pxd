from .reader cimport ReceivedBytes
from .writer cimport new_drain

cpdef adopt_stream(loop, protocol)

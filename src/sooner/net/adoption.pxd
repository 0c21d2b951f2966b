from .reader cimport ReceivedBytes
from .transport cimport Transport
from .writer cimport new_drain

cpdef adopt_stream(loop, protocol)

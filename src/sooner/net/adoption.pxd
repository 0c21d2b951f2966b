from .reader cimport ReceivedBytes
from .transport cimport Transport
from .writer cimport new_drain

cpdef ReceivedBytes adopt_reader(loop, reader)
cpdef adopt_stream(loop, protocol)

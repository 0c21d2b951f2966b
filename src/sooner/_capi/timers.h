/* TimerHeap: the timers that a loop holds, ordered by time, and those of one time by age.

   A heap in which every entry has four children: half as deep as a binary one, with children side by side.  The time
   stands in the entry, so that sorting does not touch the timers, which are spread all over the memory.

   A timer that is cancelled stays, dead, until it comes to the front or the end, or until more than half of the heap is
   dead: then all dead ones are dropped.  So cancelling costs O(1) on average, and the heap is never more than twice as
   large as it has to be.  A timer itself tells whether it is alive: by a flag in it, whose offset the heap knows.

   Dropping a timer may run any code (a weak reference's callback, say), which may add and cancel timers: the heap must
   be in order before. */

typedef struct {
    double when;
    long long number;   /* counted up: the order of creation */
    PyObject *timer;
} TimerEntry;

typedef struct {
    TimerEntry *entries;
    Py_ssize_t count, room, dead;
    Py_ssize_t flag;   /* its offset */
    long long number;
} TimerHeap;

#define timers_len(heap) ((heap).count - (heap).dead)
#define timers_add(heap, when, timer, alive) \
    sooner_timers_add(&(heap), when, (PyObject *)(timer), (char *)&(alive) - (char *)(timer))
#define timers_first(heap) sooner_timers_first(&(heap))
#define timers_pop(heap) sooner_timers_pop(&(heap))
#define timers_died(heap) sooner_timers_died(&(heap))
#define timers_clear(heap) sooner_timers_clear(&(heap))

#define SOONER_ALIVE(heap, timer) (*((signed char *)(timer) + (heap)->flag))
#define SOONER_LEAST_TIMERS 16

static inline int sooner_timer_before(const TimerEntry *a, const TimerEntry *b) {
    return a->when < b->when || (a->when == b->when && a->number < b->number);
}

/* Put an entry at a place or, while it is before its parent, above. */
static inline void sooner_timers_lift(TimerEntry *entries, Py_ssize_t place, TimerEntry entry) {
    while (place > 0) {
        Py_ssize_t parent = (place - 1) / 4;
        if (!sooner_timer_before(&entry, &entries[parent]))
            break;
        entries[place] = entries[parent];
        place = parent;
    }
    entries[place] = entry;
}

/* Put an entry at a place or, while a child is before it, below. */
static inline void sooner_timers_sink(TimerEntry *entries, Py_ssize_t count, Py_ssize_t place, TimerEntry entry) {
    for (;;) {
        Py_ssize_t child = 4 * place + 1;
        if (child >= count)
            break;
        Py_ssize_t end = child + 4 < count ? child + 4 : count, first = child;
        while (++child < end)
            if (sooner_timer_before(&entries[child], &entries[first]))
                first = child;
        if (!sooner_timer_before(&entries[first], &entry))
            break;
        entries[place] = entries[first];
        place = first;
    }
    entries[place] = entry;
}

static int sooner_timers_resize(TimerHeap *heap, Py_ssize_t room) {
    TimerEntry *entries = (TimerEntry *)PyMem_Realloc(heap->entries, (size_t)room * sizeof(TimerEntry));
    if (entries == NULL)
        return -1;
    heap->entries = entries;
    heap->room = room;
    return 0;
}

CYTHON_UNUSED static int sooner_timers_add(TimerHeap *heap, double when, PyObject *timer, Py_ssize_t flag) {
    if (heap->count == heap->room && sooner_timers_resize(heap, heap->room ? 2 * heap->room : SOONER_LEAST_TIMERS)) {
        PyErr_NoMemory();
        return -1;
    }
    heap->flag = flag;
    SOONER_ALIVE(heap, timer) = 1;
    TimerEntry entry = {when, heap->number++, Py_NewRef(timer)};
    sooner_timers_lift(heap->entries, heap->count++, entry);
    return 0;
}

/* Take out the first timer, alive or dead; there must be one. */
static PyObject *sooner_timers_take(TimerHeap *heap) {
    PyObject *timer = heap->entries[0].timer;
    heap->count--;
    if (heap->count > 0)
        sooner_timers_sink(heap->entries, heap->count, 0, heap->entries[heap->count]);
    if (heap->count < heap->room / 4 && heap->room > SOONER_LEAST_TIMERS)
        (void)sooner_timers_resize(heap, heap->room / 2);   /* if there is no memory to make it smaller, it stays */
    return timer;
}

/* The time of the first timer that is alive; infinity if there is none. */
CYTHON_UNUSED static double sooner_timers_first(TimerHeap *heap) {
    while (heap->count > 0 && !SOONER_ALIVE(heap, heap->entries[0].timer)) {
        PyObject *timer = sooner_timers_take(heap);
        heap->dead--;
        Py_DECREF(timer);
    }
    return heap->count > 0 ? heap->entries[0].when : Py_HUGE_VAL;
}

/* Drop all that are dead, if they are more than half.  Those that live move to memory of their own; without memory for
   that, all stay for now. */
static void sooner_timers_sweep(TimerHeap *heap) {
    if (heap->dead <= heap->count / 2)
        return;
    TimerHeap old = *heap;
    Py_ssize_t alive = 0, dead = 0, room = SOONER_LEAST_TIMERS;
    while (room < old.count - old.dead)
        room *= 2;
    TimerEntry *entries = (TimerEntry *)PyMem_Malloc((size_t)room * sizeof(TimerEntry));
    if (entries == NULL)
        return;
    for (Py_ssize_t i = 0; i < old.count; i++) {
        TimerEntry entry = old.entries[i];
        if (SOONER_ALIVE(heap, entry.timer))
            entries[alive++] = entry;
        else
            old.entries[dead++] = entry;
    }
    for (Py_ssize_t place = (alive + 2) / 4; place-- > 0;)
        sooner_timers_sink(entries, alive, place, entries[place]);
    heap->entries = entries;
    heap->room = room;
    heap->count = alive;
    heap->dead = 0;
    for (Py_ssize_t i = 0; i < dead; i++)
        Py_DECREF(old.entries[i].timer);
    PyMem_Free(old.entries);
}

/* Take out the timer whose time timers_first() told: nothing must have happened in between. */
CYTHON_UNUSED static PyObject *sooner_timers_pop(TimerHeap *heap) {
    PyObject *timer = sooner_timers_take(heap);
    SOONER_ALIVE(heap, timer) = 0;
    sooner_timers_sweep(heap);
    return timer;
}

/* One of the timers was cancelled: its flag is 0 now. */
CYTHON_UNUSED static void sooner_timers_died(TimerHeap *heap) {
    heap->dead++;
    /* Most often the youngest one is cancelled, and nearly always that is the last. */
    while (heap->count > 0 && !SOONER_ALIVE(heap, heap->entries[heap->count - 1].timer)) {
        PyObject *timer = heap->entries[--heap->count].timer;
        heap->dead--;
        Py_DECREF(timer);
    }
    sooner_timers_sweep(heap);
}

CYTHON_UNUSED static void sooner_timers_clear(TimerHeap *heap) {
    TimerHeap old = *heap;
    heap->entries = NULL;
    heap->count = heap->room = heap->dead = 0;
    for (Py_ssize_t i = 0; i < old.count; i++)
        SOONER_ALIVE(&old, old.entries[i].timer) = 0;
    for (Py_ssize_t i = 0; i < old.count; i++)
        Py_DECREF(old.entries[i].timer);
    PyMem_Free(old.entries);
}

CYTHON_UNUSED static int sooner_timers_traverse(TimerHeap *heap, visitproc visit, void *arg) {
    for (Py_ssize_t i = 0; i < heap->count; i++)
        Py_VISIT(heap->entries[i].timer);
    return 0;
}

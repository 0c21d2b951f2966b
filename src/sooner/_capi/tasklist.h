/* TaskList: the tasks that a loop holds, in order of creation, each with its TaskLink inside itself.
   The links own a reference: a pending task lives as long as its loop can still run it. */

typedef struct TaskLink {
    struct TaskLink *next, *prev;   /* both NULL: in no list */
    PyObject *task;
} TaskLink;

typedef struct {
    TaskLink ends;
    Py_ssize_t count;
} TaskList;

#define tasks_add(list, link, owner) sooner_tasks_add(&(list), &(link), (PyObject *)(owner))
#define tasks_discard(list, link, owner) sooner_tasks_discard(&(list), &(link))
#define tasks_len(list) ((list).count)
#define tasks_list(list) sooner_tasks_list(&(list))
#define tasks_clear(list) sooner_tasks_clear(&(list))

static inline void sooner_tasks_add(TaskList *list, TaskLink *link, PyObject *task) {
    TaskLink *ends = &list->ends;
    if (ends->next == NULL)
        ends->next = ends->prev = ends;
    link->task = Py_NewRef(task);
    link->next = ends;
    link->prev = ends->prev;
    ends->prev->next = link;
    ends->prev = link;
    list->count++;
}

static inline void sooner_tasks_discard(TaskList *list, TaskLink *link) {
    if (link->next == NULL)
        return;
    link->next->prev = link->prev;
    link->prev->next = link->next;
    link->next = link->prev = NULL;
    list->count--;
    Py_CLEAR(link->task);
}

/* Making the list may collect garbage, and so end tasks: count again until it fits. */
CYTHON_UNUSED static PyObject *sooner_tasks_list(TaskList *list) {
    PyObject *tasks = PyList_New(list->count);
    while (tasks != NULL && PyList_GET_SIZE(tasks) != list->count)
        Py_SETREF(tasks, PyList_New(list->count));
    if (tasks == NULL || list->count == 0)
        return tasks;
    Py_ssize_t i = 0;
    for (TaskLink *link = list->ends.next; link != &list->ends; link = link->next)
        PyList_SET_ITEM(tasks, i++, Py_NewRef(link->task));
    return tasks;
}

CYTHON_UNUSED static void sooner_tasks_clear(TaskList *list) {
    while (list->count > 0)
        sooner_tasks_discard(list, list->ends.next);
}

CYTHON_UNUSED static int sooner_tasks_traverse(TaskList *list, visitproc visit, void *arg) {
    if (list->count > 0)
        for (TaskLink *link = list->ends.next; link != &list->ends; link = link->next)
            Py_VISIT(link->task);
    return 0;
}

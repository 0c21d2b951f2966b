/* The load: connections that each send a message, wait for its echo, and send the next.
 *
 *     echo_load WHAT TRANSPORT ADDRESS CONNECTIONS SIZE [WARM_UP SECONDS SAMPLES SERVER_PID]
 *
 * WHAT       echo       each connection lives as long as the load
 *            reconnect  each connection asks once and is closed, and another takes its place
 *            hold       each connection asks once and stays open; prints {"held": CONNECTIONS} when all have, and
 *                       ends with its standard input
 * TRANSPORT  tcp, udp, tls (if compiled with -DWITH_TLS): ADDRESS is a port of 127.0.0.1; unix: ADDRESS is a path
 *
 * After WARM_UP seconds the requests of SAMPLES times SECONDS are counted, and printed as one line of JSON, with the
 * processor time that the process SERVER_PID took for them. An answer that is wrong, or does not come, ends the load
 * with a sentence on standard error.
 *
 * It must be lighter than any server, or it would be what is measured. So one message in CHECKED_EVERY is compared
 * byte by byte; of the others the kernel drops the content and tells the length.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *tls_context;
#endif

enum {
    EVENTS = 512,
    STAMP = 8, /* bytes at the beginning of a message that tell it from every other */
    SMALLEST = 16,
    CHECKED_EVERY = 16,
    PATIENCE = 5,  /* seconds to wait for an answer */
    RESEND = 200,  /* milliseconds after which a datagram is taken for lost, and sent again */
    SOURCES = 250, /* addresses to connect from: the ports of one would soon be used up */
};

static enum { TCP, UDP, UNIX, TLS } transport;
static enum { ECHO, RECONNECT, HOLD } what;
static const char *address;
static int connection_count;
static size_t size;

struct connection {
    int fd;
    int number;
    uint32_t request;
    uint32_t watched; /* the events that epoll reports; 0 if it does not know the socket */
    size_t sent;
    size_t received;
    double asked_at; /* datagrams only: when, and how often */
    int asked;
#ifdef WITH_TLS
    SSL *tls;
#endif
};

static int epoll;
static struct connection *connections;
static char *message;  /* what everybody sends, but for the stamp */
static char *incoming; /* what has just been read */
static uint64_t answers;
static uint64_t resent;
static int waiting; /* connections that have asked and are not answered */
static bool ending; /* nobody asks any more */

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("echo_load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) < 0)
        fail("the server's processor time cannot be read: %s", strerror(errno));
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double now(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

/* The message */

static void write_message(void) {
    message = malloc(size);
    incoming = malloc(size + 1);
    if (message == NULL || incoming == NULL)
        fail("no memory for messages of %zu bytes", size);
    for (size_t i = 0; i < size; i++)
        message[i] = (char)('A' + (i * 7 + i / 256) % 57);
    message[size - 1] = '\n'; /* so a message is a line, too */
}

static void stamp(const struct connection *connection) {
    uint32_t value = connection->request * 65536u + (uint32_t)connection->number;
    for (int i = 0; i < STAMP; i++, value >>= 4)
        message[i] = "0123456789abcdef"[value & 15];
}

static bool is_compared(const struct connection *connection) {
    return connection->request % CHECKED_EVERY == 0 || transport == UDP;
}

static void check(const struct connection *connection, size_t count) {
    stamp(connection);
    if (memcmp(incoming, message + connection->received, count) != 0)
        fail("connection %d got something else than it sent", connection->number);
}

/* Reading and writing: the number of bytes, or 0 where it would block. */

#ifdef WITH_TLS

static void begin_tls(struct connection *connection) {
    connection->tls = SSL_new(tls_context);
    if (connection->tls == NULL || SSL_set_fd(connection->tls, connection->fd) != 1 || SSL_connect(connection->tls) != 1)
        fail("the TLS handshake of connection %d failed", connection->number);
}

static size_t tls_result(struct connection *connection, int result) {
    if (result > 0)
        return (size_t)result;
    int error = SSL_get_error(connection->tls, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail("connection %d ended before its answer (TLS error %d)", connection->number, error);
    return 0;
}

#endif

static size_t plain_result(struct connection *connection, ssize_t result) {
    if (result > 0)
        return (size_t)result;
    if (result == 0)
        fail("connection %d was closed before its answer", connection->number);
    if (errno != EAGAIN)
        fail("connection %d failed: %s", connection->number, strerror(errno));
    return 0;
}

static size_t write_some(struct connection *connection) {
    stamp(connection);
    const char *data = message + connection->sent;
    size_t rest = size - connection->sent;
#ifdef WITH_TLS
    if (transport == TLS)
        return tls_result(connection, SSL_write(connection->tls, data, (int)rest));
#endif
    return plain_result(connection, send(connection->fd, data, rest, MSG_NOSIGNAL));
}

static size_t read_some(struct connection *connection) {
    size_t rest = size - connection->received;
    size_t count;
#ifdef WITH_TLS
    if (transport == TLS)
        count = tls_result(connection, SSL_read(connection->tls, incoming, (int)rest + 1));
    else
#endif
        if (transport == TCP && !is_compared(connection)) /* only of TCP does MSG_TRUNC drop what it reads: tcp(7) */
        count = plain_result(connection, recv(connection->fd, NULL, rest, MSG_TRUNC));
    else
        count = plain_result(connection, recv(connection->fd, incoming, rest + 1, 0));
    if (count > rest)
        fail("connection %d got more than the %zu bytes that it sent", connection->number, size);
    return count;
}

/* An answer that is here already may come once more, after its datagram was taken for lost and sent again. */
static bool is_late(const struct connection *connection, size_t count) {
    stamp(connection);
    return transport == UDP && resent > 0 && count == size && memcmp(incoming, message, STAMP) != 0;
}

/* Connections */

static void watch(struct connection *connection, uint32_t wanted) {
    if (wanted == connection->watched)
        return;
    struct epoll_event event = {.events = wanted, .data.ptr = connection};
    if (epoll_ctl(epoll, connection->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
    connection->watched = wanted;
}

static void connect_to_path(int fd) {
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    if (strlen(address) >= sizeof peer.sun_path)
        fail("%s is too long for the path of a socket", address);
    strcpy(peer.sun_path, address);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
        fail("cannot connect to %s: %s", address, strerror(errno));
}

static void connect_to_port(int fd) {
    static uint32_t sources_used;
    struct sockaddr_in source = {.sin_family = AF_INET};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address))};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + sources_used++ % SOURCES);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (transport != UDP) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
        if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
            fail("bind: %s", strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0 && errno != EINPROGRESS)
        fail("cannot connect to port %s: %s", address, strerror(errno));
}

/* Waits for the connection, but not when reconnecting: epoll tells when it is there. */
static void open_connection(struct connection *connection) {
    int kind = transport == UDP ? SOCK_DGRAM : SOCK_STREAM;
    int at_once = what == RECONNECT ? SOCK_NONBLOCK : 0;
    int fd = socket(transport == UNIX ? AF_UNIX : AF_INET, kind | SOCK_CLOEXEC | at_once, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    connection->fd = fd;
    connection->watched = 0;
    (transport == UNIX ? connect_to_path : connect_to_port)(fd);
#ifdef WITH_TLS
    if (transport == TLS)
        begin_tls(connection);
#endif
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl: %s", strerror(errno));
}

static void ask(struct connection *connection) {
    while (connection->sent < size) {
        size_t count = write_some(connection);
        if (count == 0)
            break;
        connection->sent += count;
    }
    watch(connection, connection->sent < size ? EPOLLIN | EPOLLOUT : EPOLLIN);
    connection->asked_at = now();
    connection->asked++;
}

static void begin_request(struct connection *connection) {
    connection->sent = connection->received = 0;
    connection->asked = 0;
    connection->request++;
    waiting++;
    if (what == RECONNECT) {
        open_connection(connection);
        watch(connection, EPOLLIN | EPOLLOUT); /* asks when it is connected */
    } else {
        ask(connection);
    }
}

static void end_request(struct connection *connection) {
    answers++;
    waiting--;
    if (what == RECONNECT)
        close(connection->fd);
    if (!ending)
        begin_request(connection);
}

static void read_answer(struct connection *connection) {
    do {
        size_t count = read_some(connection);
        if (count == 0 || is_late(connection, count))
            return;
        if (is_compared(connection))
            check(connection, count);
        connection->received += count;
        if (connection->received == size) {
            end_request(connection);
            return;
        }
    } while (transport == TLS); /* which may have more than epoll knows of */
}

static void send_lost_again(double time) {
    for (struct connection *c = connections; c < connections + connection_count; c++) {
        if (c->received == size || time < c->asked_at + RESEND / 1000.0)
            continue;
        if (c->asked > PATIENCE * 1000 / RESEND)
            fail("connection %d was not answered for %d seconds", c->number, PATIENCE);
        resent++;
        c->sent = 0;
        ask(c);
    }
}

/* Serves the connections until a time, and the ending ones until they are served. */
static void run(double end) {
    struct epoll_event events[EVENTS];
    double time = now();
    double looked = time;
    while (time < end && !(ending && waiting == 0)) {
        int ready = epoll_wait(epoll, events, EVENTS, transport == UDP ? RESEND : PATIENCE * 1000);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        if (ready == 0 && transport != UDP)
            fail("no answer for %d seconds", PATIENCE);
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                ask(connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                read_answer(connection);
        }
        time = now();
        if (transport == UDP && time > looked + RESEND / 1000.0) {
            send_lost_again(time);
            looked = time;
        }
    }
}

static void measure(double warm_up, double seconds, int samples, pid_t server) {
    clockid_t processor;
    if (clock_getcpuclockid(server, &processor) != 0)
        fail("there is no process %d", (int)server);
    run(now() + warm_up);
    printf("{\"samples\": [");
    for (int i = 0; i < samples; i++) {
        uint64_t answers_before = answers;
        double processor_before = seconds_of(processor);
        double start = now();
        run(start + seconds);
        while (answers == answers_before)   /* the machine may have had no time for the server */
            run(now() + 0.01);
        printf("%s{\"requests\": %llu, \"seconds\": %.9f, \"processor\": %.9f}", i ? ", " : "",
               (unsigned long long)(answers - answers_before), now() - start, seconds_of(processor) - processor_before);
    }
    printf("], \"resent\": %llu}\n", (unsigned long long)resent);
}

/* Whatever was asked is to be answered. */
static void finish(void) {
    ending = true;
    run(now() + PATIENCE);
    if (waiting > 0)
        fail("%d requests were not answered for %d seconds", waiting, PATIENCE);
}

static int usage(void) {
    fprintf(stderr, "usage: echo_load echo|reconnect|hold tcp|udp|unix|tls ADDRESS CONNECTIONS SIZE"
                    " [WARM_UP SECONDS SAMPLES SERVER_PID]\n");
    return 2;
}

static int position(const char *word, const char *const *words) {
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

int main(int count, char **arguments) {
    static const char *const whats[] = {"echo", "reconnect", "hold", NULL};
    static const char *const transports[] = {"tcp", "udp", "unix", "tls", NULL};
    if (count < 6)
        return usage();
    int named_what = position(arguments[1], whats);
    int named_transport = position(arguments[2], transports);
    if (named_what < 0 || named_transport < 0 || count != (named_what == HOLD ? 6 : 10) ||
        (named_what == RECONNECT && named_transport != TCP))
        return usage();
    what = named_what;
    transport = named_transport;
    address = arguments[3];
    connection_count = atoi(arguments[4]);
    size = (size_t)atol(arguments[5]);
    if (connection_count < 1 || connection_count > UINT16_MAX || size < SMALLEST || size > (1 << 30))
        fail("1 to %d connections, and %d bytes to 1 GiB", UINT16_MAX, SMALLEST);
    if (transport == TLS) {
#ifdef WITH_TLS
        tls_context = SSL_CTX_new(TLS_client_method());
        if (tls_context == NULL)
            fail("OpenSSL does not start");
        SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(tls_context, 1); /* one recv() a record, not two */
#else
        fail("this program was compiled without TLS");
#endif
    }

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    write_message();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)connection_count, sizeof *connections);
    if (epoll < 0 || connections == NULL)
        fail("no memory for %d connections", connection_count);
    for (int i = 0; i < connection_count; i++) {
        connections[i].number = i;
        if (what != RECONNECT)
            open_connection(&connections[i]);
    }
    for (int i = 0; i < connection_count; i++)
        begin_request(&connections[i]);

    if (what != HOLD) {
        measure(atof(arguments[6]), atof(arguments[7]), atoi(arguments[8]), atoi(arguments[9]));
        finish();
        return 0;
    }
    finish();
    printf("{\"held\": %d}\n", connection_count);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

/*
 * delaying_server -- answers each part of a dialogue after a time of its own, and tells how long
 * that really was: the truth that loadgen's percentiles are held against.
 *
 *   usage: delaying_server FIXED_US SELDOM_US SHARE SEED
 *
 * Prints its port, serves 127.0.0.1 until its standard input ends, then prints a line a part: its
 * name, how many, and their 50th, 75th, 90th and 99th percentile in ns. A reply is delayed by
 * FIXED_US or, a SHARE (0 to 1) of them, by SELDOM_US.
 *
 * The beginning is the kernel's stamp of the segment that asked (of accept() for the banner), so
 * this program's own delays are in the truth too; the end is just before the reply is given to the
 * kernel.
 */
#include "base/check.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PEERS_MAX   4096
#define TIMERS_MAX  65536
#define SAMPLES_MAX 2000000
#define EVENTS_MAX  256
#define READ_SIZE   65536
#define NS_PER_S    1000000000ull
#define SPIN_NS     200000ull /* a timer's last part is waited for with open eyes */

enum part { PART_BANNER, PART_EHLO, PART_ENVELOPE, PART_DOT, PART_QUIT, PART_COUNT };

static const char *const names[PART_COUNT] = {"banner", "ehlo", "envelope", "dot", "quit"};
static const char *const replies[PART_COUNT] = {
    "220 truth.test\r\n", "250-truth.test\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n354 go\r\n",
    "250 kept\r\n", "221 bye\r\n"};

struct timer {
    uint64_t due_ns;
    uint64_t begin_ns;
    int socket;
    enum part part;
};

static struct timer timers[TIMERS_MAX]; /* a heap: the first is due first */
static uint32_t timer_count;
static uint64_t *truth[PART_COUNT];
static uint32_t truth_count[PART_COUNT];
static uint64_t fixed_ns;
static uint64_t seldom_ns;
static double seldom_share;
static struct random generator;
static int poll_set;
static int listener;

/* The clock that the kernel stamps segments with. */
static uint64_t now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void swap(uint32_t a, uint32_t b)
{
    struct timer kept = timers[a];
    timers[a] = timers[b];
    timers[b] = kept;
}

static void push_timer(struct timer timer)
{
    CHECK(timer_count < TIMERS_MAX);
    uint32_t place = timer_count++;
    timers[place] = timer;
    for (; place > 0 && timers[(place - 1) / 2].due_ns > timers[place].due_ns;
         place = (place - 1) / 2)
        swap(place, (place - 1) / 2);
}

static struct timer pop_timer(void)
{
    struct timer first = timers[0];
    timers[0] = timers[--timer_count];
    for (uint32_t place = 0;;) {
        uint32_t least = place;
        for (uint32_t child = 2 * place + 1; child <= 2 * place + 2 && child < timer_count; child++)
            if (timers[child].due_ns < timers[least].due_ns) least = child;
        if (least == place) return first;
        swap(place, least);
        place = least;
    }
}

static void plan(int socket, enum part part, uint64_t begin_ns)
{
    bool is_seldom = random_unit(&generator) < seldom_share;
    push_timer((struct timer){
        .due_ns = begin_ns + (is_seldom ? seldom_ns : fixed_ns),
        .begin_ns = begin_ns,
        .socket = socket,
        .part = part,
    });
}

static void answer(const struct timer *timer)
{
    const char *reply = replies[timer->part];
    CHECK(truth_count[timer->part] < SAMPLES_MAX);
    truth[timer->part][truth_count[timer->part]++] = now_ns() - timer->begin_ns;
    /* A client that has left needs no reply; its time is kept all the same. */
    (void)send(timer->socket, reply, strlen(reply), MSG_NOSIGNAL);
    if (timer->part == PART_QUIT) (void)shutdown(timer->socket, SHUT_WR);
}

static void watch(int socket)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = socket};
    CHECK(epoll_ctl(poll_set, EPOLL_CTL_ADD, socket, &event) == 0);
}

static void take_client(void)
{
    int one = 1;
    int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) return;
    CHECK(setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) == 0);
    CHECK(setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    watch(socket);
    plan(socket, PART_BANNER, now_ns());
}

static bool ends_content(const char *octets, size_t size)
{
    static const char dot[] = "\r\n.\r\n";
    return size >= sizeof dot - 1 &&
           memcmp(octets + size - (sizeof dot - 1), dot, sizeof dot - 1) == 0;
}

static uint64_t stamp_of(struct msghdr *message)
{
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL;
         item = CMSG_NXTHDR(message, item)) {
        struct timespec stamp;
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SO_TIMESTAMPNS) continue;
        memcpy(&stamp, CMSG_DATA(item), sizeof stamp);
        return (uint64_t)stamp.tv_sec * NS_PER_S + (uint64_t)stamp.tv_nsec;
    }
    return now_ns();
}

/* A client that waits for each reply sends one part at a time. */
static void take_input(int socket)
{
    static char octets[READ_SIZE];
    char control[256];
    struct iovec piece = {octets, sizeof octets};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t size = recvmsg(socket, &message, 0);

    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
        (void)close(socket);
    } else if (size >= 4 && memcmp(octets, "EHLO", 4) == 0) {
        plan(socket, PART_EHLO, stamp_of(&message));
    } else if (size >= 4 && memcmp(octets, "MAIL", 4) == 0) {
        plan(socket, PART_ENVELOPE, stamp_of(&message));
    } else if (size >= 4 && memcmp(octets, "QUIT", 4) == 0) {
        plan(socket, PART_QUIT, stamp_of(&message));
    } else if (ends_content(octets, (size_t)size)) {
        plan(socket, PART_DOT, stamp_of(&message));
    }
}

/* How long may be slept, in ms; 0 while a timer's end is near. */
static int wait_ms(void)
{
    if (timer_count == 0) return 100;
    uint64_t now = now_ns();
    uint64_t due = timers[0].due_ns;
    if (due <= now + SPIN_NS) return 0;
    uint64_t left_ms = (due - now - SPIN_NS) / 1000000;
    return left_ms > 100 ? 100 : (int)left_ms;
}

/* False once standard input has ended. */
static bool serve(void)
{
    struct epoll_event events[EVENTS_MAX];
    bool goes_on = true;
    int count = epoll_wait(poll_set, events, EVENTS_MAX, wait_ms());

    CHECK(count >= 0 || errno == EINTR);
    for (int index = 0; index < count; index++) {
        char ignored[16];
        if (events[index].data.fd == listener)
            take_client();
        else if (events[index].data.fd == STDIN_FILENO)
            goes_on = read(STDIN_FILENO, ignored, sizeof ignored) > 0;
        else
            take_input(events[index].data.fd);
    }
    while (timer_count > 0 && timers[0].due_ns <= now_ns()) {
        struct timer timer = pop_timer();
        answer(&timer);
    }
    return goes_on;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t percentile(enum part part, uint32_t percent)
{
    uint64_t rank = ((uint64_t)truth_count[part] * percent + 99) / 100;
    return truth_count[part] == 0 ? 0 : truth[part][rank == 0 ? 0 : rank - 1];
}

static void print_truth(void)
{
    for (uint32_t part = 0; part < PART_COUNT; part++) {
        qsort(truth[part], truth_count[part], sizeof *truth[part], compare);
        (void)printf("%s %u %llu %llu %llu %llu\n", names[part], truth_count[part],
                     (unsigned long long)percentile((enum part)part, 50),
                     (unsigned long long)percentile((enum part)part, 75),
                     (unsigned long long)percentile((enum part)part, 90),
                     (unsigned long long)percentile((enum part)part, 99));
    }
}

static void listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(listener, PEERS_MAX) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    (void)printf("%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fputs("usage: delaying_server FIXED_US SELDOM_US SHARE SEED\n", stderr);
        return 2;
    }
    fixed_ns = strtoull(argv[1], NULL, 10) * 1000;
    seldom_ns = strtoull(argv[2], NULL, 10) * 1000;
    seldom_share = strtod(argv[3], NULL);
    random_init(&generator, strtoull(argv[4], NULL, 10), 1);
    for (uint32_t part = 0; part < PART_COUNT; part++) {
        truth[part] = malloc(SAMPLES_MAX * sizeof *truth[part]);
        CHECK(truth[part] != NULL);
    }
    CHECK(prctl(PR_SET_TIMERSLACK, 1) == 0);
    poll_set = epoll_create1(EPOLL_CLOEXEC);
    CHECK(poll_set >= 0);
    listen_somewhere();
    watch(listener);
    watch(STDIN_FILENO);
    while (serve())
        ;
    print_truth();
    return 0;
}

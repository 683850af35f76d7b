/*
 *   not connected -> waiting to be accepted -> in dialogue -> done
 *
 * In dialogue a client goes from phase to phase; each writes commands, which leave in pieces, and
 * says whether their replies are waited for.
 */
#include "sim_client.h"

#include "sim_life.h"
#include "sim_socket.h"
#include "sim_truth.h"
#include "sim_world.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CLIENTS_MAX  64
#define EXPECTED_MAX 512
#define LINE_MAX     1100
#define RECIPIENTS   3
#define CHUNKS_MAX   5
/* What a client may have said without an answer, if it never waits. */
#define AHEAD_MAX 300
/* A server that says nothing for so long has forgotten us. */
#define PATIENCE_NS (90 * CLOCK_NS_PER_S)
/* A client that has said its last may take so long to read the replies. */
#define GRACE_NS    (9 * CLOCK_NS_PER_S)
#define CONTENT_MAX (320u * 1024)

enum state { STATE_UNBORN, STATE_OPEN, STATE_DONE };

enum manner {
    MANNER_WAITS,  /* for every reply                                   */
    MANNER_GROUPS, /* for those of a transaction, as RFC 2920 says      */
    MANNER_STREAMS /* for none: whole transactions, one behind the other */
};

enum phase {
    PHASE_HELLO,
    PHASE_NEXT,
    PHASE_SENDER,
    PHASE_RECIPIENTS,
    PHASE_DATA,
    PHASE_CONTENT,
    PHASE_QUIT,
    PHASE_OVER
};

enum expected_kind {
    EXPECTED_GREETING,
    EXPECTED_HELLO,
    EXPECTED_SENDER,
    EXPECTED_RECIPIENT,
    EXPECTED_DATA,
    EXPECTED_CHUNK,
    EXPECTED_END,
    EXPECTED_RESET,
    EXPECTED_NOTHING, /* NOOP */
    EXPECTED_BAD,
    EXPECTED_QUIT,
};

struct expected {
    enum expected_kind kind;
    uint32_t message;
};

struct client {
    enum state state;
    enum manner manner;
    enum phase phase;
    uint32_t socket;
    uint64_t wake_ns;
    uint64_t heard_ns; /* when something was last heard, or asked */
    uint64_t deaf_until_ns;
    uint64_t quit_ns; /* when it has said its last */
    struct sim_pipe out;
    uint64_t written; /* octets of commands and content so far */
    uint64_t sent;    /* that have left */
    struct expected expected[EXPECTED_MAX];
    uint32_t expected_head;
    uint32_t expected_count;
    uint32_t lines_left; /* LMTP: of the reply that is coming in */
    char line[LINE_MAX];
    uint32_t line_size;
    uint32_t transactions_left;
    uint32_t message;
    uint32_t recipients_left;
    uint32_t chunks_left;
    uint32_t accepted;    /* recipients, by the replies */
    uint32_t end_code;    /* LMTP: of the first line of the end's reply */
    bool is_sender_taken; /* by the replies */
    bool is_data_refused;
    bool uses_chunks;
    bool is_extended;
    bool is_dismissed; /* 421: nothing may follow */
    bool is_confused;  /* what was sent as content was read as commands */
    bool has_quit;
    XXH3_state_t *hash; /* of the content so far */
    bool gives_up;
};

static struct client clients[CLIENTS_MAX];
static uint32_t client_count;
static uint8_t filler[64 * 1024];
static uint8_t content[CONTENT_MAX + 4096];

static struct sim_socket *socket_of(const struct client *client)
{
    return &sim_sockets[client->socket];
}

static struct expected *expected_front(struct client *client)
{
    CHECK(client->expected_count > 0);
    return &client->expected[client->expected_head];
}

static void expect(struct client *client, enum expected_kind kind)
{
    CHECK(client->expected_count < EXPECTED_MAX);
    uint32_t place = (client->expected_head + client->expected_count++) % EXPECTED_MAX;
    client->expected[place] = (struct expected){kind, client->message};
    if (client->expected_count == 1) client->heard_ns = sim.now_ns;
}

static void expected_pop(struct client *client)
{
    client->expected_head = (client->expected_head + 1) % EXPECTED_MAX;
    client->expected_count--;
    client->heard_ns = sim.now_ns;
}

/* ---- what is said ---- */

static void say_octets(struct client *client, const void *octets, uint64_t size)
{
    sim_pipe_put(&client->out, octets, size);
    client->written += size;
}

__attribute__((format(printf, 2, 3))) static void say(struct client *client, const char *format,
                                                      ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    CHECK(size > 0);
    CHECK((size_t)size < sizeof text);
    say_octets(client, text, (uint64_t)size);
}

static void say_sender(struct client *client)
{
    client->message = sim_truth_begin(client->socket, client->is_extended);
    say(client, "MAIL FROM:<m%u@here.test>\r\n", client->message);
    expect(client, EXPECTED_SENDER);
    (void)XXH3_64bits_reset(client->hash);
    client->recipients_left = 1 + (uint32_t)sim_below(RECIPIENTS);
    if (sim_chance(20)) client->recipients_left = 40;
    client->chunks_left = 1 + (uint32_t)sim_below(CHUNKS_MAX);
}

static void say_recipient(struct client *client)
{
    struct sim_truth_message *message = sim_truth_at(client->message);
    say(client, "RCPT TO:<r%u.%u@there.test>\r\n", message->recipient_count++, client->message);
    expect(client, EXPECTED_RECIPIENT);
    client->recipients_left--;
}

static uint64_t content_size(void)
{
    switch (sim_below(8)) {
    case 0:
        return sim_below(3);
    case 1:
    case 2:
    case 3:
        return sim_below(700);
    case 4:
        return sim_below(sim.settings.content_max);
    default:
        return sim_delay(sim.settings.content_max);
    }
}

/* Octets of which any may follow any: line ends whole and halved, dots everywhere. */
static uint64_t content_fill(uint64_t size)
{
    static const char *const knots[] = {"\r\n", "\r\n.",    ".",        "\r\n..",      "\n.\r",
                                        "\r",   "\n.\n",    "\r\n\r\n", "x\r\n.y\r\n", "\r.\r\n",
                                        "..",   "\r\n.\rz", "\n",       "zz\r\n",      "\r\n. "};
    uint64_t at = 0;
    while (at < size) {
        uint64_t part = sim_delay(sim_chance(50) ? 60000 : 200);
        if (part > size - at) part = size - at;
        memcpy(content + at, filler + sim_below(sizeof filler - part), part);
        at += part;
        const char *knot = knots[sim_below(sizeof knots / sizeof knots[0])];
        for (; *knot != '\0' && at < size; knot++)
            content[at++] = (uint8_t)*knot;
    }
    return size;
}

static void account_for(struct client *client, const uint8_t *octets, uint64_t size)
{
    struct sim_truth_message *message = sim_truth_at(client->message);
    (void)XXH3_64bits_update(client->hash, octets, size);
    message->content_size += size;
    message->content_hash = XXH3_64bits_digest(client->hash);
}

/* Its end will never come: nobody may keep it. */
static void break_off(struct client *client)
{
    sim_truth_abandon(client->message);
    client->phase = PHASE_OVER;
}

static void say_end(struct client *client)
{
    sim_truth_at(client->message)->end_at = client->written;
    expect(client, EXPECTED_END);
}

static bool is_line_start(uint64_t at)
{
    return at == 0 || (at >= 2 && content[at - 2] == '\r' && content[at - 1] == '\n');
}

/* DATA's content: ends in a line end, or is empty. */
static void say_content(struct client *client)
{
    uint64_t size = content_fill(content_size());
    if (!is_line_start(size)) {
        content[size++] = '\r';
        content[size++] = '\n';
    }
    account_for(client, content, size);
    uint64_t from = 0;
    for (uint64_t at = 0; at < size; at++) {
        if (content[at] != '.' || !is_line_start(at)) continue;
        say_octets(client, content + from, at - from);
        say_octets(client, ".", 1);
        from = at;
    }
    say_octets(client, content + from, size - from);
    if (sim_chance(sim.settings.abort_chance)) {
        break_off(client);
        return;
    }
    say_octets(client, ".\r\n", 3);
    say_end(client);
}

/* One chunk of BDAT; any octets. */
static void say_chunk(struct client *client)
{
    bool is_last = --client->chunks_left == 0;
    uint64_t size = content_fill(content_size() / 2);
    say(client, "BDAT %llu%s\r\n", (unsigned long long)size, is_last ? " LAST" : "");
    account_for(client, content, size);
    if (size > 0 && sim_chance(sim.settings.abort_chance / 2)) {
        say_octets(client, content, sim_below(size));
        break_off(client);
        return;
    }
    say_octets(client, content, size);
    if (is_last)
        say_end(client);
    else
        expect(client, EXPECTED_CHUNK);
}

static void say_reset(struct client *client)
{
    say(client, "RSET\r\n");
    expect(client, EXPECTED_RESET);
}

static void say_nonsense(struct client *client)
{
    static const char *const lines[] = {"XYZZY\r\n", "RCPT TO:<nobody@there.test>\r\n",
                                        "MAIL FROM:<a@b\r\n", "DATA now\r\n", "\r\n"};
    if (sim_chance(200)) {
        for (uint32_t i = 0; i < 5000; i += 100)
            say_octets(client, filler, 100);
        say_octets(client, "\r\n", 2);
    } else {
        say(client, "%s", lines[sim_below(5)]);
    }
    expect(client, EXPECTED_BAD);
}

/* ---- from phase to phase ---- */

static void say_hello(struct client *client)
{
    const char *verb = sim.settings.is_lmtp ? "LHLO" : client->is_extended ? "EHLO" : "HELO";
    say(client, "%s client%u.test\r\n", verb, client->socket);
    expect(client, EXPECTED_HELLO);
    client->phase = PHASE_NEXT;
}

static void say_quit(struct client *client)
{
    say(client, "QUIT\r\n");
    expect(client, EXPECTED_QUIT);
    client->has_quit = true;
    client->quit_ns = sim.now_ns;
    client->phase = PHASE_OVER;
}

static void say_next(struct client *client)
{
    if (sim_fault(sim.settings.abort_chance)) {
        say_nonsense(client);
    } else if (sim_chance(20)) {
        say(client, "NOOP\r\n");
        expect(client, EXPECTED_NOTHING);
    } else if (client->transactions_left == 0) {
        client->phase = sim_chance(850) ? PHASE_QUIT : PHASE_OVER;
    } else {
        client->transactions_left--;
        client->phase = PHASE_SENDER;
    }
}

/* Refused at some point: no content follows. */
static bool is_refused(const struct client *client)
{
    return client->manner == MANNER_WAITS &&
           sim_truth_at(client->message)->state != SIM_TRUTH_BEGUN;
}

static void say_recipients(struct client *client)
{
    say_recipient(client);
    if (sim_fault(sim.settings.abort_chance)) {
        sim_truth_abandon(client->message);
        if (sim_chance(500)) {
            say_reset(client);
            client->phase = PHASE_NEXT;
        } else {
            client->phase = sim_chance(500) ? PHASE_QUIT : PHASE_OVER;
        }
    } else if (client->recipients_left == 0) {
        client->phase = client->uses_chunks ? PHASE_CONTENT : PHASE_DATA;
    }
}

static void say_contents(struct client *client)
{
    if (!client->uses_chunks) {
        client->phase = PHASE_NEXT;
        say_content(client);
        return;
    }
    if (client->chunks_left > 1 && sim_fault(sim.settings.abort_chance)) {
        sim_truth_abandon(client->message);
        say_reset(client);
        client->phase = PHASE_NEXT;
        return;
    }
    if (client->chunks_left == 1) client->phase = PHASE_NEXT;
    say_chunk(client);
}

static void say_more(struct client *client)
{
    switch (client->phase) {
    case PHASE_HELLO:
        say_hello(client);
        break;
    case PHASE_NEXT:
        say_next(client);
        break;
    case PHASE_SENDER:
        say_sender(client);
        client->phase = PHASE_RECIPIENTS;
        break;
    case PHASE_RECIPIENTS:
        if (is_refused(client))
            client->phase = PHASE_NEXT;
        else
            say_recipients(client);
        break;
    case PHASE_DATA:
        if (is_refused(client)) {
            client->phase = PHASE_NEXT;
            break;
        }
        say(client, "DATA\r\n");
        expect(client, EXPECTED_DATA);
        client->phase = PHASE_CONTENT;
        break;
    case PHASE_CONTENT:
        /* Whoever waits for 354 has heard it, or has been refused. */
        if (client->manner != MANNER_STREAMS &&
            sim_truth_at(client->message)->state != SIM_TRUTH_BEGUN)
            client->phase = PHASE_NEXT;
        else
            say_contents(client);
        break;
    case PHASE_QUIT:
        say_quit(client);
        break;
    case PHASE_OVER:
        break;
    }
}

/* Is it its turn to say more, before the replies to what it has said? */
static bool may_say_more(const struct client *client)
{
    if (client->is_dismissed || client->is_confused || client->phase == PHASE_OVER) return false;
    if (client->expected_count == 0) return true;
    switch (client->manner) {
    case MANNER_WAITS:
        return false;
    case MANNER_GROUPS:
        return client->phase == PHASE_RECIPIENTS || client->phase == PHASE_DATA ||
               (client->phase == PHASE_CONTENT && client->uses_chunks);
    case MANNER_STREAMS:
        return client->phase != PHASE_HELLO && client->expected_count < AHEAD_MAX;
    }
    return false;
}

/* ---- what is heard ---- */

static bool is_error(uint32_t code)
{
    return code >= 400;
}

static void wrong(const struct client *client, const struct expected *expected)
{
    sim_violation("client %u waits for a reply of kind %d and hears \"%.60s\"",
                  (uint32_t)(client - clients), (int)expected->kind, client->line);
}

/* What had been sent as content was no content for the server: nothing can be told any more. */
static void lose_track(struct client *client)
{
    if (client->manner != MANNER_STREAMS || client->uses_chunks) return;
    client->is_confused = true;
    client->phase = PHASE_OVER;
}

static void refused_early(struct client *client, uint32_t message, uint32_t code)
{
    lose_track(client);
    if (!client->is_confused) sim_truth_refuse(message, code);
}

static void hear_end(struct client *client, const struct expected *expected, uint32_t code)
{
    bool is_first = client->lines_left == 0;
    /* RFC 2033 4.2: one for each recipient, where there was a message for them. */
    bool is_for_each = sim.settings.is_lmtp && client->accepted > 0 && !client->is_data_refused;
    if (is_first) client->lines_left = is_for_each ? client->accepted : 1;
    bool is_known =
        code == 250 || code == 451 || code == 452 || code == 552 || code == 503 || code == 554;
    if (!is_known) wrong(client, expected);
    if (!is_first && code != client->end_code)
        sim_violation("message %u: %u to one recipient, %u to another", expected->message,
                      client->end_code, code);
    client->end_code = code;
    if (code == 250) {
        const char *id = strstr(client->line, "queued as ");
        if (client->is_data_refused)
            sim_violation("message %u is acknowledged, and part of it was refused",
                          expected->message);
        sim_truth_acknowledge(expected->message, id == NULL ? "" : id + 10);
    } else {
        sim_truth_refuse(expected->message, code);
    }
    if (--client->lines_left == 0) expected_pop(client);
}

/* The last line of a reply, or one of LMTP's several replies. */
static void hear_reply(struct client *client, uint32_t code)
{
    struct expected *expected = expected_front(client);
    uint32_t message = expected->message;
    switch (expected->kind) {
    case EXPECTED_GREETING:
        if (code != 220) wrong(client, expected);
        break;
    case EXPECTED_HELLO:
    case EXPECTED_RESET:
    case EXPECTED_NOTHING:
        if (code != 250) wrong(client, expected);
        break;
    case EXPECTED_SENDER:
        if (code != 250 && code != 451 && code != 452) wrong(client, expected);
        client->is_sender_taken = code == 250;
        client->accepted = 0;
        client->is_data_refused = false;
        if (is_error(code)) refused_early(client, message, code);
        break;
    case EXPECTED_RECIPIENT:
        if (code != (client->is_sender_taken ? 250 : 503)) wrong(client, expected);
        if (code == 250) client->accepted++;
        break;
    case EXPECTED_DATA:
        if (code != 354 && (code != 503 || client->accepted > 0)) wrong(client, expected);
        if (is_error(code)) refused_early(client, message, code);
        break;
    case EXPECTED_CHUNK:
        if (code != 250 && !is_error(code)) wrong(client, expected);
        if (is_error(code)) {
            client->is_data_refused = true;
            if (client->manner != MANNER_STREAMS) sim_truth_refuse(message, code);
        }
        break;
    case EXPECTED_END:
        hear_end(client, expected, code);
        return;
    case EXPECTED_BAD:
        if (code < 500 || code > 503) wrong(client, expected);
        break;
    case EXPECTED_QUIT:
        if (code != 221) wrong(client, expected);
        break;
    }
    expected_pop(client);
}

static void hear_line(struct client *client)
{
    char *line = client->line;
    line[client->line_size] = '\0';
    uint32_t code = (uint32_t)strtoul(line, NULL, 10);
    sim_trace("client %u hears %.70s", (uint32_t)(client - clients), line);
    if (client->is_confused) return;
    if (client->line_size < 5 || code < 200 || code > 599) {
        sim_violation("client %u hears what is no reply: \"%.60s\"", (uint32_t)(client - clients),
                      line);
        client->is_confused = true;
        return;
    }
    if (line[3] == '-') return;
    if (client->is_dismissed) {
        sim_violation("client %u was dismissed, and hears \"%.60s\"", (uint32_t)(client - clients),
                      line);
    } else if (code == 421) {
        client->is_dismissed = true;
        SIM_COUNT(dismissed);
    } else if (client->expected_count == 0) {
        sim_violation("client %u did not ask, and hears \"%.60s\"", (uint32_t)(client - clients),
                      line);
    } else {
        hear_reply(client, code);
    }
}

static void hear(struct client *client)
{
    struct sim_pipe *pipe = &socket_of(client)->to_client;
    uint64_t size = sim_pipe_left(pipe);
    if (sim.now_ns < client->deaf_until_ns || size == 0) return;
    if (sim_chance(300)) size = 1 + sim_below(size);
    for (uint64_t i = 0; i < size; i++) {
        char octet = (char)*sim_pipe_front(pipe);
        sim_pipe_drop(pipe, 1);
        if (client->line_size + 1 < LINE_MAX) client->line[client->line_size++] = octet;
        if (octet != '\n') continue;
        hear_line(client);
        client->line_size = 0;
    }
}

/* ---- coming and going ---- */

static void leave(struct client *client)
{
    struct sim_socket *socket = socket_of(client);
    sim_truth_settle(client->socket, socket->received);
    sim_socket_leave(socket);
    client->state = STATE_DONE;
    sim_pipe_close(&client->out);
}

/* Its connection has ended: may it, without another word? */
static void end_judge(const struct client *client)
{
    const struct sim_socket *socket = socket_of(client);
    bool is_late = client->has_quit && sim.now_ns - client->quit_ns >= GRACE_NS;
    bool is_explained = is_late || client->is_dismissed || client->is_confused ||
                        socket->was_faulted || socket->is_reset || socket->has_shut ||
                        client->gives_up || sim_life_is_stopping() || client->deaf_until_ns > 0;
    if (client->has_quit && client->expected_count == 0) return;
    if (!is_explained)
        sim_violation("client %u: the connection ends, %u replies are missing",
                      (uint32_t)(client - clients), client->expected_count);
}

static void be_born(struct client *client)
{
    client->socket = sim_socket_connect((uint32_t)(client - clients));
    if (client->socket == SIM_SOCKETS_MAX) {
        client->wake_ns = sim.now_ns + CLOCK_NS_PER_MS;
        return;
    }
    SIM_COUNT(connections);
    client->state = STATE_OPEN;
    client->wake_ns = UINT64_MAX;
    client->message = SIM_TRUTH_NONE;
    expect(client, EXPECTED_GREETING);
}

/* Messages whose last octet has now left. */
static void note_sent(struct client *client)
{
    for (uint32_t i = 0; i < client->expected_count; i++) {
        const struct expected *expected =
            &client->expected[(client->expected_head + i) % EXPECTED_MAX];
        if (expected->kind != EXPECTED_END) continue;
        struct sim_truth_message *message = sim_truth_at(expected->message);
        if (message->sent_ns == 0 && message->end_at <= client->sent)
            message->sent_ns = sim.now_ns + sim.real_offset_ns;
    }
}

static void send_some(struct client *client)
{
    uint64_t size = sim_pipe_left(&client->out);
    if (size == 0) return;
    if (sim_chance(300)) size = 1 + sim_delay(size - 1);
    if (size > sim_pipe_left(&client->out)) size = sim_pipe_left(&client->out);
    sim_pipe_put(&socket_of(client)->to_server, sim_pipe_front(&client->out), size);
    sim_pipe_drop(&client->out, size);
    client->sent += size;
    note_sent(client);
}

static uint64_t pause_ns(void)
{
    if (sim_fault(3)) return sim_delay(20 * CLOCK_NS_PER_S);
    return sim_delay(sim.settings.client_pause_ns);
}

/* It has said all it will. */
static void end_politely(struct client *client)
{
    struct sim_socket *socket = socket_of(client);
    if (client->has_quit || client->is_dismissed || socket->has_shut) return;
    if (client->is_confused || sim_chance(400)) {
        socket->is_reset = true;
        leave(client);
    } else {
        socket->has_shut = true;
    }
}

static void watch_patience(struct client *client)
{
    const struct sim_socket *socket = socket_of(client);
    if (client->expected_count == 0 || client->is_confused || client->is_dismissed) return;
    if (socket->state == SIM_SOCKET_WAITING) client->heard_ns = sim.now_ns;
    if (sim.now_ns < client->deaf_until_ns || sim_pipe_left(&client->out) > 0)
        client->heard_ns = sim.now_ns;
    if (sim.now_ns - client->heard_ns > PATIENCE_NS) {
        sim_violation("client %u waits for ever for a reply of kind %d",
                      (uint32_t)(client - clients), (int)expected_front(client)->kind);
        sim_trace("it has sent %llu octets, of which %llu were received",
                  (unsigned long long)client->sent, (unsigned long long)socket->received);
        sim_life_trace();
        client->is_confused = true;
    }
}

static void talk(struct client *client)
{
    hear(client);
    struct sim_socket *socket = socket_of(client);
    if (socket->state == SIM_SOCKET_CLOSED && sim_pipe_left(&socket->to_client) == 0) {
        end_judge(client);
        leave(client);
        return;
    }
    if (socket->is_reset) {
        leave(client);
        return;
    }
    if (client->expected_count > 0 &&
        client->expected[client->expected_head].kind == EXPECTED_GREETING) {
        watch_patience(client);
        return; /* nobody talks before the greeting */
    }
    for (uint32_t turns = 0; turns < 8 && sim_pipe_left(&client->out) < 65536 &&
                             !socket->has_shut && may_say_more(client);
         turns++)
        say_more(client);
    send_some(client);
    bool is_over = client->phase == PHASE_OVER && sim_pipe_left(&client->out) == 0;
    if (is_over) end_politely(client);
    if (client->state == STATE_OPEN) watch_patience(client);
}

static void step(struct client *client)
{
    if (client->state == STATE_UNBORN) {
        be_born(client);
        return;
    }
    if (client->state != STATE_OPEN) return;
    talk(client);
    if (sim_fault(2) && client->deaf_until_ns < sim.now_ns)
        client->deaf_until_ns = sim.now_ns + sim_delay(15 * CLOCK_NS_PER_S);
    bool has_more =
        client->state == STATE_OPEN && (sim_pipe_left(&client->out) > 0 || may_say_more(client) ||
                                        sim_pipe_left(&socket_of(client)->to_client) > 0);
    uint64_t wait_ns = has_more ? pause_ns() + 1 : 5 * CLOCK_NS_PER_S;
    if (client->deaf_until_ns > sim.now_ns && has_more)
        wait_ns = client->deaf_until_ns - sim.now_ns;
    if (wait_ns > CLOCK_NS_PER_S && has_more && client->deaf_until_ns < sim.now_ns)
        client->deaf_until_ns = sim.now_ns; /* so slow that it may be sent away */
    client->wake_ns = sim.now_ns + wait_ns;
}

void sim_client_rouse(uint32_t index)
{
    struct client *client = &clients[index];
    if (index >= client_count || client->state != STATE_OPEN) return;
    uint64_t when_ns = sim.now_ns + sim_delay(sim.settings.client_pause_ns) / 8;
    if (when_ns < client->deaf_until_ns) when_ns = client->deaf_until_ns;
    if (when_ns < client->wake_ns) client->wake_ns = when_ns;
}

void sim_client_step_all(void)
{
    for (uint32_t i = 0; i < client_count && !sim.is_dead; i++)
        if (clients[i].state != STATE_DONE && clients[i].wake_ns <= sim.now_ns) step(&clients[i]);
}

uint64_t sim_client_next_ns(void)
{
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; i < client_count; i++)
        if (clients[i].state != STATE_DONE && clients[i].wake_ns < next_ns)
            next_ns = clients[i].wake_ns;
    return next_ns;
}

bool sim_client_are_all_done(void)
{
    for (uint32_t i = 0; i < client_count; i++)
        if (clients[i].state != STATE_DONE) return false;
    return true;
}

void sim_client_give_up(void)
{
    for (uint32_t i = 0; i < client_count; i++) {
        if (clients[i].state == STATE_UNBORN) clients[i].state = STATE_DONE;
        clients[i].gives_up = true;
    }
}

static void filler_make(void)
{
    static const char octets[] = "abcxyz 0123456789";
    for (uint32_t i = 0; i < sizeof filler; i++)
        filler[i] = i % 97 == 0 ? (uint8_t)(0x80 + i % 128)
                                : (uint8_t)octets[random_mix(1, i) % (sizeof octets - 1)];
}

void sim_client_open_all(uint32_t count)
{
    CHECK(count <= CLIENTS_MAX);
    if (filler[0] == 0) filler_make();
    client_count = count;
    uint64_t at_ns = sim.now_ns;
    for (uint32_t i = 0; i < count; i++) {
        at_ns += sim_delay(sim.settings.client_pause_ns * 4);
        clients[i] = (struct client){.manner = (enum manner)sim_below(3),
                                     .transactions_left =
                                         1 + (uint32_t)sim_below(sim.settings.transactions_max),
                                     .is_extended = sim.settings.is_lmtp || sim_chance(800),
                                     .hash = XXH3_createState(),
                                     .wake_ns = at_ns};
        clients[i].uses_chunks = clients[i].is_extended && sim_chance(400);
        CHECK(clients[i].hash != NULL);
    }
}

/* They read what has come, and no more will. */
void sim_client_close_all(void)
{
    for (uint32_t i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        client->deaf_until_ns = 0;
        if (client->state == STATE_OPEN) {
            while (sim_pipe_left(&socket_of(client)->to_client) > 0)
                hear(client);
            leave(client);
        }
        client->state = STATE_DONE;
        sim_pipe_close(&client->out);
        (void)XXH3_freeState(client->hash);
        client->hash = NULL;
    }
    client_count = 0;
}

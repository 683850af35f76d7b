#include "loadgen/load_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static struct load_environment environment;
static char text[LOAD_CHECKS_TEXT_MAX];

static int set_up(void **state)
{
    (void)state;
    environment = (struct load_environment){.port_range = "32768 60999",
                                            .somaxconn = "128",
                                            .clock_source = "hpet",
                                            .is_same_host = true,
                                            .clock_cost_ns = 200};
    return 0;
}

static void test_ports(void **state)
{
    struct load_plan plan = {.connections = 28232};
    (void)state;

    assert_true(load_checks_ports(&plan, 0, &environment, text));
    plan.connections++;
    assert_false(load_checks_ports(&plan, 0, &environment, text));
    assert_non_null(strstr(text, "28233 connections"));
    assert_non_null(strstr(text, "sysctl -w net.ipv4.ip_local_port_range"));
    assert_true(load_checks_ports(&plan, 2, &environment, text));
    environment.is_unix = true;
    assert_true(load_checks_ports(&plan, 0, &environment, text));
    environment.is_unix = false;
    environment.port_range[0] = '\0';
    assert_true(load_checks_ports(&plan, 0, &environment, text));
}

static void test_queue(void **state)
{
    struct load_plan plan = {.connections = 128};
    (void)state;

    assert_true(load_checks_queue(&plan, false, &environment, text));
    plan.connections = 10000;
    assert_false(load_checks_queue(&plan, false, &environment, text));
    assert_non_null(strstr(text, "512 connects at once"));
    assert_non_null(strstr(text, "sysctl -w net.core.somaxconn=4096"));
    assert_true(load_checks_queue(&plan, true, &environment, text));
    environment.is_same_host = false;
    assert_true(load_checks_queue(&plan, false, &environment, text));
    environment.is_same_host = true;
    strcpy(environment.somaxconn, "512");
    assert_true(load_checks_queue(&plan, false, &environment, text));
}

static void test_clock(void **state)
{
    (void)state;
    assert_true(load_checks_clock(&environment, text));
    environment.clock_cost_ns = 201;
    assert_false(load_checks_clock(&environment, text));
    assert_non_null(strstr(text, "clock source hpet: `echo tsc >"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ports, set_up),
        cmocka_unit_test_setup(test_queue, set_up),
        cmocka_unit_test_setup(test_clock, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

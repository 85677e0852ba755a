"""Faults of Redis."""

import os
import signal
import time

from tests.chaos.faults.fault import REDIS, fault
from tests.chaos.faults.postgres import state
from tests.chaos.stack import Stack


@fault("Redis killed, unavailable for 5 s", REDIS)
def redis_killed(stack: Stack) -> str:
    with stack.ask_redis() as client:
        before = client.info("server")
    os.kill(before["process_id"], signal.SIGKILL)
    time.sleep(5)
    stack.start_redis()
    with stack.ask_redis() as client:
        assert client.info("server")["run_id"] != before["run_id"]
    return "another `run_id`"


@fault("Redis stopped (SIGSTOP) for 6 s", REDIS)
def redis_stopped(stack: Stack) -> str:
    with stack.ask_redis() as client:
        process = client.info("server")["process_id"]
    try:
        os.kill(process, signal.SIGSTOP)
        time.sleep(6)
        found = state(process)
    finally:
        os.kill(process, signal.SIGCONT)
    assert found == "T", found
    return "its process in state T"


@fault("Redis flushed", REDIS)
def redis_flushed(stack: Stack) -> str:
    with stack.ask_redis() as client:
        assert client.dbsize(), "it was empty"
        client.flushall()
        return "`FLUSHALL` of its keys"


@fault("Redis out of memory for 5 s", REDIS)
def redis_full(stack: Stack) -> str:
    with stack.ask_redis() as client:
        policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        time.sleep(5)
        refused = client.info("errorstats").get("errorstat_OOM")
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", policy)
    assert refused, "no write was refused"
    return "writes failed with `OOM`"

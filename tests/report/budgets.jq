# SPDX-License-Identifier: Apache-2.0
# Adds to report.json what the last run of each benchmark says to each budget: .budgets, a list of {what, budget, limit,
# at_least, unit, value, low, high, beside}. `low` and `high` are the interval, where the benchmark has one; a budget is
# kept if all of it is on the right side. Without a run there is no value.

def median: sort | if length == 0 then null else .[length / 2 | floor] end;
def most(f): map(f) | max;
def lines(name): .results[name] // [];
def newest(name): lines(name) | last;

def at_most(what; limit; unit; value): {what: what, budget: ("at most \(limit) \(unit)" | rtrimstr(" ")), limit: limit, at_least: false, unit: unit} + (value // {});
def at_least(what; limit; unit; value): {what: what, budget: ("at least \(limit) \(unit)" | rtrimstr(" ")), limit: limit, at_least: true, unit: unit} + (value // {});

# The worst of the cases whose name begins so, all of them small enough for the caches.
def packets(name): newest("bench_datapath") | if . then {value: ([.cases[] | select((.spread | not) and (.case | startswith(name)))] | most(.median_ns))} else null end;
def sizes: newest("bench_datapath") | if . then [.sizes[].many_to_few] | {value: max_by(.ratio).ratio, low: (map(.low) | min), high: (map(.high) | max)} else null end;

# Against no filter; the same twice is the control.
def traffic($test; $processors): [lines("beside_nftables")[] | select(.test == $test and .processors == $processors)] | group_by(.target) | map(last) |
  (map(select(.target == "mesh")) | first) as $us |
  if $us then {value: $us.by_clock.ratio, low: $us.by_clock.low, high: $us.by_clock.high,
    beside: map(select(.target | IN("mesh", "none") | not) | {who: ({again: "no filter again", empty: "a program that does nothing"}[.target] // .target)} + (.by_clock | {value: .ratio, low, high}))} else null end;

def sync($who; f): [lines("beside_cilium")[] | select(.endpoints == 50000 and .who == $who)] | last | if . then f else null end;
def after_start(f): sync("mesh-agentd"; f) as $v | if $v then {value: $v, beside: [sync("cilium-agent"; f) | values | {who: "cilium-agent", value: .}]} else null end;

def policy: newest("bench_policy") | if . then (.costs[] | select(.what == "one policy more").all) | {value: (.p99_us / 1000)} else null end;

def connects: [lines("connect")[] | select(.services == 10000)] | group_by(.who) | map({who: .[0].who,
    value: ((map(select(.where == "inside").service) | median) - (map(select(.where == "outside").backend) | median))}) |
  (map(select(.who == "mesh-agentd")) | first) as $us | if $us then {value: $us.value, beside: map(select(.who != "mesh-agentd"))} else null end;

def names: [lines("dns")[] | select(.work == "cluster" and .load == "full")] | group_by(.server) | map({who: .[0].server, value: (map(.qps) | median)}) |
  (map(select(.who == "ours")) | first) as $us | (map(select(.who == "coredns")) | first) as $them |
  if $us and $them then {value: ($us.value / $them.value), beside: map(select(.who != $us.who and .who != "coredns") | {who, value: (.value / $them.value)})} else null end;

def joined: [lines("beside_cilium")[] | select(.ms)] | last | if . then {value: (.ms / 1000)} else null end;
def lost: if lines("torture") | length > 0 then {value: (lines("torture") | map(select(.failed)) | length)} else null end;
def idle: newest("idle") | if . then {value: .wakeups_per_minute} else null end;

. + {budgets: [
  at_most("established packet, by test-run"; 60; "ns"; packets("established")),
  at_most("new flow, by test-run"; 350; "ns"; packets("new flow")),
  at_most("denied packet, by test-run"; 120; "ns"; packets("denied")),
  at_most("10,000 identities against 10"; 1.1; "times"; sizes),
  at_least("TCP_RR against no filter, one processor"; 0.99; "times"; traffic("rr"; 1)),
  at_least("TCP_RR, a processor each"; 0.99; "times"; traffic("rr"; 2)),
  at_least("throughput against no filter, one processor"; 0.99; "times"; traffic("stream"; 1)),
  at_least("TCP_CRR against no filter, one processor"; 0.97; "times"; traffic("crr"; 1)),
  at_least("TCP_CRR, a processor each"; 0.97; "times"; traffic("crr"; 2)),
  at_most("connect() to one of 10,000 Services adds"; 150; "ns"; connects),
  at_most("50,000 endpoints from the start, CPU"; 1.5; "s"; after_start(.cpu_s)),
  at_most("50,000 endpoints, private memory"; 16; "MiB"; after_start(.private_kib / 1024)),
  at_most("a policy more, 1,000 x 10,000, 99th percentile"; 5; "ms"; policy),
  at_least("names of the cluster, queries against CoreDNS"; 8; "times"; names),
  at_most("from mesh-join to enforced"; 2; "s"; joined),
  at_most("changes under load with a loss or an intruder"; 0; ""; lost),
  at_most("idle, wake-ups a minute"; 12; ""; idle)
] | map(if has("value") and .value != null then . + {is_kept: (if .at_least then (.low // .value) >= .limit else (.high // .value) <= .limit end)} else del(.value, .low, .high) end)}

# SPDX-License-Identifier: Apache-2.0
# report.json as one page without anything from outside. What has no result is "not run".

def number: tostring | [while(length > 0; .[:-3])] | map(.[-3:]) | reverse | join(",");
def rounded: if type == "number" then (. * 100 | round / 100) else . end;
def text: if . == null then "" elif type == "object" or type == "array" then tojson else tostring end | @html;
def row(f): "<tr>" + (map("<td>" + f + "</td>") | join("")) + "</tr>";
def table(head): "<table><tr>" + (head | map("<th>\(@html)</th>") | join("")) + "</tr>" + (map(row(tostring)) | join("\n")) + "</table>";
def not_run: "<p class=none>not run</p>";
def when: todate | sub("T"; " ") | sub("Z"; " UTC");

# Bars of [{name, value, label}], against the greatest value; `is_log` for numbers of very different size.
def bars(is_log):
  (map(.value) | max) as $max |
  def width: if $max <= 0 or . <= 0 then 0 elif is_log then (log10 / ($max | log10) * 420) else (. / $max * 420) end;
  "<svg viewBox='0 0 960 \(length * 22 + 6)' role='img'>" +
  (to_entries | map(.key as $i | .value |
    "<text x='230' y='\($i * 22 + 16)' text-anchor='end'>\(.name | @html)</text>" +
    "<rect x='240' y='\($i * 22 + 4)' width='\([.value | width, 1] | max | rounded)' height='15' class='bar'/>" +
    "<text x='\(246 + (.value | width | rounded))' y='\($i * 22 + 16)'>\(.label // (.value | text))</text>") | join("\n")) +
  "</svg>";

def state: if . == null then "<span class=none>not run</span>" elif . == 0 then "<span class=good>passed</span>"
  elif . == 77 then "<span class=none>skipped</span>" else "<span class=bad>failed</span>" end;

def suites:
  .tests | group_by(.suite) | map([
    (.[0].suite | text), (map(select(.result == 0)) | length), (map(select(.result != null and .result != 0 and .result != 77)) | length),
    (map(select(.result == 77)) | length), (map(select(.result == null)) | length),
    (map(.time // empty) | if length == 0 then "" else max | when end)])
  | table(["suite", "passed", "failed", "skipped", "not run", "last run"]);

def sum(file; key): .results[file] // [] | map(.[key] // 0) | add // 0;
# Which places of a change were tried: some lines say only how many.
def places: [.[] | select(.step) | range(.first; .last + 1; .step)] as $known | ($known | unique | length) + (map(select(.step | not).places) | add // 0);

# What a fault's own numbers are: sums of runs, places of the daemon's work, attacks, verifier.
def figure($f): [
  (.results as $r | ($f.sums // [])[] | . as [$file, $key, $words] | ($r[$file] // []) | select(length > 0) | "\(map(.[$key] | numbers) | add // 0 | number) \($words)"),
  (.results as $r | ($f.most // [])[] | . as [$file, $key, $words] | ($r[$file] // []) | map(.[$key] | numbers) | select(length > 0) | "at most \(max | number) \($words)"),
  ((.results.torture // [])[] | select(.change as $c | ($f.torture // []) | any(. == $c)) | . ) ] as $all |
  ($all | map(select(type == "string"))) +
  (if $f.torture then
     ($all | map(select(type == "object")) | map(select(if $f.id == "R14" then .torture == "nomem" else .torture == "crash" end)) |
      if length == 0 then [] else [(group_by(.change) | map("\(.[0].change) \(places) of \(map(.of) | max)") | "places: " + join(", ")),
        "\(map(select(.failed)) | length) runs with a fault, \(map(.packets) | add | number) packets"] end)
   else [] end) +
  (if $f.oracle and (.oracle | length) > 0 then ["\(.oracle | map(.sets) | add | number) sets, \(.oracle | map(.checks) | add | number) verdicts, \(.oracle | map(.different) | add) different"] else [] end) +
  (if $f.attacks and (.attacks | length) > 0 then ["\(.attacks | map(.refused_as_expected) | add | number) writes as expected, \(.attacks | map(.not) | add) not"] else [] end) +
  (if $f.verifier and (.verifier | length) > 0 then ["\(.verifier | map(.kernel) | unique | length) kernels, at most \(.verifier | map(.instructions) | max | number) instructions"] else [] end)
  | join("; ");

def faults:
  . as $all | .faults | map(. as $f |
    ($f.tests | map(. as [$t, $word] | [$all.tests[] | select(.test == $t)] | if length == 0 then {test: $t, result: null} else max_by(.time // 0) end) | unique_by(.test)) as $tests |
    [$f.id, ($f.fault | text), "\($f.promise | text)<br><span class=target>\($f.target | text)</span>\(if $f.open then "<br><span class=none>open: \($f.open | text)</span>" else "" end)",
     ($tests | map("<span class=one>\(.test | text) \(.result | state)</span>") | join("<br>")),
     ($all | figure($f) | text)])
  | table(["", "fault", "what holds, and by which figure", "tests", "figures of the runs here"]);

def verifier:
  if length == 0 then not_run else
    group_by(.kernel) | map("<h3>kernel \(.[0].kernel | text)</h3>" +
      (map({name: .program, value: .instructions, label: (.instructions | number)}) | bars(false)) +
      "<p>allowed: \(map(.budget) | max | number) each</p>") | join("\n") end;

# What was run on which kernel: the tests in virtual machines, and those of this machine's own.
def kernels:
  . as $all |
  ([.kernels[] | .kernel as $k | ["\($k | text)<br><span class=target>\(.release // "" | text)</span>"] +
    [.tests[] | (.result | state) + (if .passed then "<br>\(.passed) checks, \(.failed) failed, \(.skipped) skipped" else "" end) + (if .time then "<br>\(.time | when)" else "" end)] +
    [[$all.verifier[] | select(.kernel == $k).instructions] | if length == 0 then not_run else "\(length) programs, at most \(max | number) instructions" end]]
   | table(["kernel"] + [$all.kernels[0].tests[].test] + ["verifier"])) +
  ([.tests[] | select(.suite == "check-system" and .kernel)] | group_by(.kernel) | map("<p>Kernel \(.[0].kernel | text), not in a virtual machine: check-system, " +
    "\(map(select(.result == 0)) | length) passed, \(map(select(.result != 0 and .result != 77)) | length) failed, \(map(select(.result == 77)) | length) skipped; \(map(.time) | max | when)</p>") | join("\n"));

def fuzz:
  (.results.fuzz // [] | group_by(.target) | map({name: .[0].target, value: (map(.executions) | add), found: (map(.found) | add)})) as $runs |
  ([.tests[] | select(.executions)] | map({name: (.test | sub("^fuzz_"; "")), value: .executions})) as $replay |
  "<h3>fuzzing</h3>" + (if ($runs | length) == 0 then not_run else
    ($runs | map(. + {label: "\(.value | number), \(.found) found"}) | bars(true)) + "<p>\($runs | map(.value) | add | number) executions in all</p>" end) +
  "<h3>replay in make check</h3>" + (if ($replay | length) == 0 then not_run else
    ($replay | map(. + {label: (.value | number)}) | bars(true)) + "<p>\($replay | map(.value) | add | number) executions in the last run</p>" end);

# Two that were measured in one run, one of them the peer: how many times as much the peer takes.
def beside:
  (.results | to_entries | map(select(.key | startswith("beside")) | .value[]) | map(select(.who and .cpu_s))) as $lines |
  if ($lines | length) == 0 then not_run else
    $lines | group_by(.endpoints) | map(
      (map(select(.who == "mesh-agentd")) | last) as $us | (map(select(.who != "mesh-agentd")) | last) as $peer |
      if $us and $peer then
        "<h3>\(.[0].endpoints | number) endpoints: \($peer.who | text) / mesh-agentd</h3>" +
        ([["time until all is known", "wall_s"], ["CPU time", "cpu_s"], ["resident memory", "rss_kib"], ["private memory", "private_kib"]] |
          map({name: .[0], value: ($peer[.[1]] / ([$us[.[1]], 0.01] | max)), label: "\($peer[.[1]]) / \($us[.[1]]) = \($peer[.[1]] / ([$us[.[1]], 0.01] | max) | rounded)"}) | bars(false))
      else "" end) | join("\n") end;

# Three digits that count.
def short: if . == null then "" elif type != "number" then tostring elif . >= 100 or . == floor then (round | number) elif . >= 1 then (. * 100 | round / 100 | tostring) else (. * 1000 | round / 1000 | tostring) end;
def interval: "\(.value | short)" + if .low then " (\(.low | short) to \(.high | short))" else "" end;
# What filters cost traffic: rates as shares of that without one.
def traffic:
  ([.results | to_entries[] | select(.key | startswith("beside_nftables")) | .value[] | select(.test and .by_clock)] | group_by([.processors, .test]) |
   map(group_by(.target) | map(last) | map(select(.target != "none")))) as $groups |
  if ($groups | length) == 0 then not_run else
    $groups | map("<h3>\({"rr": "TCP_RR", "crr": "TCP_CRR", "stream": "TCP stream", "udp": "UDP, 64 bytes", "denied": "UDP, denied"}[.[0].test] // .[0].test | text), \(if .[0].processors == 1 then "one processor" else "a processor each" end)</h3>" +
      (map({name: ({"again": "no filter again", "mesh": "mesh-agentd", "cilium": "cilium host firewall"}[.target] // .target), value: .by_clock.ratio,
            label: "\(.by_clock | {value: .ratio, low, high} | interval)"}) | bars(false))) | join("\n") end;

# The last run of each test against each pair of versions, beside what the README says of them.
def pair: {kubernetes, cilium, by};
def version: split(".") | map(tonumber);
def versions:
  (.results.versions // []) as $runs | .claimed as $claimed |
  [$claimed[], ($runs[] | pair)] | unique | sort_by([.by, (.cilium | version), (.kubernetes | version)]) | reverse | map(. as $p |
    ($runs | map(select(pair == $p)) | group_by(.test) | map(max_by(.time))) as $last |
    [(.kubernetes | text), (.cilium | text), ({"nodes": "its nodes", "definitions": "its resource definitions"}[.by] // .by | text),
     (if ($last | length) == 0 then "<span class=none>not run here</span>" else
        $last | map("<span class=one>\(.test | text) " + (if .failed > 0 then "<span class=bad>\(.failed) failed</span>, " else "" end) +
          "<span class=good>\(.passed) passed</span>\(if .skipped > 0 then ", \(.skipped) skipped" else "" end), \(.time | when)</span>") | join("<br>") end),
     (if any($claimed[]; . == $p or . == ($p | .by = "nodes")) then "yes" else "<span class=none>no</span>" end)])
  | if length == 0 then not_run else table(["Kubernetes", "Cilium", "of it there are", "last run of each test", "in the README"]) end;

def budgets:
  .budgets | map([(.what | text), (.budget | text),
    (if has("value") then "<b>\(interval) \(.unit | text)</b>" else "" end),
    (if has("value") | not then "<span class=none>not run</span>" elif .is_kept then "<span class=good>kept</span>" else "<span class=bad>not kept</span>" end),
    (.beside // [] | map("\(.who | text) \(interval)") | join("<br>"))]) | table(["", "budget", "measured", "", "beside it, in the same run"]);

def fleet:
  (.results.fleet // [] | group_by(.hosts) | map(max_by(.time))) as $runs |
  if ($runs | length) == 0 then not_run else
    $runs | map("<h3>\(.hosts | number) hosts, \(.endpoints | number) endpoints</h3>" + ([
      ["from nothing until all watch", "\(.start.seconds) s", (.start.requests | number), (.start.most_in_a_second | number), (.start.refused | number), "\(.start.server_cpu_ms | number) ms"],
      ["while nothing happens, \(.idle.watches | number) watches", "\(.idle.seconds) s", (.idle.requests | number), "", "", "\(.idle.server_cpu_ms | number) ms"],
      ["after \(.restart.away_s) s without server, until half / 99 % / all watch", "\(.restart.half_back_s) / \(.restart.most_back_s) / \(.restart.all_back_s) s",
       (.restart.requests | number), (.restart.most_in_a_second | number), (.restart.refused | number), "\(.restart.server_cpu_ms | number) ms"]] |
      table(["", "time", "requests", "at most in a second", "refused (429)", "CPU of the server"]))) | join("\n") end;

def idle:
  (.results.idle // []) as $runs |
  if ($runs | length) == 0 then not_run else
    $runs | map([(.time | when), "\(.seconds) s", (.wakeups_per_minute | rounded), "\(.cpu_ms) ms", (.bytes_received | number), (.bytes_sent | number)]) |
    table(["", "time", "wake-ups a minute", "CPU", "bytes received", "bytes sent"]) end;

# The last one of each kind and release.
def packages:
  (.results.packages // []) | if length == 0 then not_run else
    group_by([.on, .kind, .package]) | map(max_by(.time)) | sort_by([(.programs | length == 0), .kind, .on]) | map([
      "\(.package | text) \(.version | text)", (.kind | text), (.on | text), (.bytes | number), (.installed_kib * 1024 | number),
      (.programs | map("<span class=one>\(.name | text) \(.bytes | number)</span>") | join("<br>")), (.depends | join(", ") | text), (.time | when)])
    | table(["package", "", "built on", "bytes", "installed", "programs", "depends on", "looked at"]) end;

# Whatever else left lines of JSON: the last ones, as they are.
def others:
  .results | to_entries | map(select(.key | IN("sim", "churn", "damaged", "detached", "cards", "flood", "forged", "frames", "gaps", "policies", "races", "restarts", "torture", "fuzz", "fleet", "idle", "bench_datapath", "bench_policy", "packages", "versions") or startswith("beside_") | not)) |
  if length == 0 then "" else map("<h2>\(.key | text)</h2>" + (.value[-40:] as $v | ($v | map(keys_unsorted) | add | unique) as $k |
    $v | map(. as $o | $k | map($o[.] | rounded | text)) | table($k))) | join("\n") end;

"<!DOCTYPE html>
<html lang=en><meta charset=utf-8><title>mesh-external-agent: what the runs say</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 78em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { margin-top: 1.8em; border-bottom: 2px solid #4477aa } .target { color: #4477aa } .one { white-space: nowrap }
table { border-collapse: collapse; margin: .6em 0; width: 100% } td, th { border-bottom: 1px solid #ddd; padding: .25em .7em; text-align: left; vertical-align: top }
svg { width: 100%; max-width: 60em; font-size: 13px } .bar { fill: #4477aa }
.good { color: #117733 } .bad { color: #cc3311; font-weight: bold } .none { color: #777; font-style: italic }
</style>
<h1>mesh-external-agent: what the runs say</h1>
<p>Version \(.commit | text); made \(.made | when) on \(.machine.cpus) × \(.machine.cpu | text), kernel \(.machine.kernel | text).
Everything here comes from what the runs in one build directory left behind; what was not run there says so.</p>
<h2>Budgets</h2>" + budgets +
"<h2>Tests</h2>" + suites +
"<h2>Versions of the peers</h2>" + versions +
"<h2>Faults</h2>" + faults +
"<h2>Simulated API servers</h2>" + (if (.results.sim // [] | length) == 0 then not_run else
  "<p>\(sum("sim"; "histories") | number) histories, \(sum("sim"; "requests") | number) requests, \(sum("sim"; "faults") | number) faults, \(sum("sim"; "lies") | number) lists that lied, \(sum("sim"; "out_of_memory") | number) times out of memory; \(.results.sim | map(select(.failed)) | length) histories failed.</p>" end) +
"<h2>Beside Cilium</h2>" + beside +
"<h2>Traffic, as shares of what it is without a filter</h2>" + traffic +
"<h2>Many hosts, one API server</h2>" + fleet +
"<h2>Idle</h2>" + idle +
"<h2>Fuzzing</h2>" + fuzz +
"<h2>Packages</h2>" + packages +
"<h2>Kernels</h2>" + kernels +
"<h2>Verifier</h2>" + (.verifier | verifier) +
"<h2>Attacks on the API server with a host's credential</h2>" + (if (.attacks | length) == 0 then not_run else
  .attacks | map([(.what | text), (.refused_as_expected | number), .not]) | table(["", "as expected", "not"]) end) +
others + "</html>"

#!/usr/bin/env python3
"""Runs the benchmark programs in rounds and writes medians as Markdown tables; see tools/bench."""

import argparse
import datetime
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
from pathlib import Path


def run(program):
    """One round of a program: its benchmarks by name, one after the other, so that a library and its peers are measured within seconds (ours first)."""
    print(f"bench: {program.name}", file=sys.stderr, flush=True)
    result = subprocess.run([program, "--benchmark_format=json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if result.returncode != 0:
        sys.exit(f"bench: {program}: expected status 0, got {result.returncode}")
    short = lambda name: "/".join(part for part in name.split("/") if not part.endswith("_time") and ":" not in part)
    return {short(entry["run_name"]): entry for entry in json.loads(result.stdout)["benchmarks"]}


def median(rounds, key, field):
    return statistics.median(each[key][field] for each in rounds)


def speed_over(rounds, own, peer):
    """The median of FAMILY/tombola/CASE's speed over a peer's in the same round; None where the peer was not measured."""
    other = own.replace("/tombola/", f"/{peer}/")
    return statistics.median(each[own]["flops"] / each[other]["flops"] for each in rounds) if other in rounds[0] else None


def share(rounds, key):
    return [f"{median(rounds, key, 'flops') / 1e9:.0f}", f"{100 * median(rounds, key, 'share'):.0f}%"]


def peer_cells(ratios):
    return [f"{ratio:.2f}" if ratio else "–" for ratio in ratios]


def own_rows(rounds):
    return [key for key in rounds[0] if "/tombola/" in key]


def run_torch(torch, script, peak):
    """What bench/torch_step.py measures in this PyTorch; None, with its words on stderr, if it is no peer. "as_it_comes": where it is not told
    to keep memory, which matters most to the smallest networks."""
    def measure(environment, *networks):
        with open(script) as lines:
            result = subprocess.run([*shlex.split(torch), "-", str(peak), *networks], stdin=lines, stdout=subprocess.PIPE, text=True, env=environment)
        return json.loads(result.stdout) if result.returncode == 0 else None

    found = measure(os.environ)
    as_it_comes = found and measure({name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}, "lenet", "lenet-prelu")
    return found and as_it_comes and {**found, "as_it_comes": as_it_comes["steps"]}


def run_step_rounds(program, count, torch, torch_script):
    """`count` rounds of all steps, ours and PyTorch's (nothing without `torch`), who take turns to go first: within minutes of each other, as a
    host's speed changes. Rounds without PyTorch's do not count."""
    rounds, peak = [], 0
    for turn in range(count):
        found = run_torch(torch, torch_script, peak) if torch and turn % 2 else None
        own = run(program)
        peak = max(entry["peak"] for entry in own.values())
        if torch and turn % 2 == 0:
            found = run_torch(torch, torch_script, peak)
        if torch and not found:
            if not rounds:
                sys.exit(f"bench: {torch} gave no PyTorch to compare with")
            print(f"bench: round {turn + 1} does not count: {torch} gave no PyTorch to compare with", file=sys.stderr)
            continue
        rounds.append((own, found))
    return rounds


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def gemm(rounds):
    peers = [name for name in ("onednn", "openblas", "eigen") if any(f"/{name}/" in key for key in rounds[0])]
    rows = []
    for key in own_rows(rounds):
        _, _, shape, form, threads = key.split("/")
        of_kept_up = statistics.median(each[key]["share"] / each[key]["sustained"] for each in rounds)
        rows.append([shape.replace("x", " x "), form, threads, *share(rounds, key), f"{100 * of_kept_up:.0f}%",
                     *peer_cells(speed_over(rounds, key, peer) for peer in peers)])
    return ["Packing inside all timings. NN: both matrices as they lie; NT: the second transposed; TN: the first. Share: of the peak of",
            "multiply-adds measured just before and after each row, on as many threads: the fastest 2 ms. Of kept up: of what",
            "multiply-adds alone keep up for a tenth of a second just after. `x library`: our speed over its.", ""] + table(
                ["m x n x k", "form", "threads", "GFLOP/s", "share of peak", "of kept up"] + [f"x {peer}" for peer in peers], rows)


def conv(rounds):
    rows, logs = [], {}
    for key in own_rows(rounds):
        _, _, layer, direction, threads = key.split("/")
        ratio = speed_over(rounds, key, "onednn")
        if ratio:
            logs.setdefault((direction, threads), []).append(math.log(ratio))
        rows.append([layer, direction.replace("_", " "), threads, *share(rounds, key), *peer_cells([ratio])])
    lines = ["Batch 128. oneDNN in the layouts of its choice, reordering not counted; ours in the network's own layout, packing counted.", ""]
    lines += table(["layer", "direction", "threads", "GFLOP/s", "share of peak", "x onednn"], rows)
    if logs:
        every = [value for values in logs.values() for value in values]
        lines += ["", f"Geometric mean over oneDNN: {math.exp(sum(every) / len(every)):.2f} (" + ", ".join(
            f"{direction.replace('_', ' ')} on {threads}: {math.exp(sum(values) / len(values)):.2f}"
            for (direction, threads), values in sorted(logs.items())) + ")."]
    return lines


def attention(rounds):
    rows = []
    for key in own_rows(rounds):
        _, _, length, direction, threads = key.split("/")
        rows.append([length, direction, threads, *share(rounds, key), *peer_cells(speed_over(rounds, key, peer) for peer in ("unfused", "onednn"))])
    return ["Heads of 64 columns, about 4,096 tokens. A forward pass counts two products, a backward pass five. Unfused: the same from our own",
            "products and softmax, with the probabilities kept; oneDNN: the same from its matmul and softmax.", ""] + table(
                ["length", "direction", "threads", "GFLOP/s", "share of peak", "x unfused", "x onednn"], rows)


def gates(rounds):
    rows = []
    for key in rounds[0]:
        _, kernel, count, threads = key.split("/")
        rows.append([kernel, f"{int(count):,}", threads, f"{median(rounds, key, 'per_gate'):.2f}", f"{median(rounds, key, 'share'):.2f}"])
    return ["Forward: draw, clamp, multiply with the weight, 12 bytes a gate. Update: backward, gradient of the sparse penalty, Adam and",
            "bounds, 32 bytes a gate. Share: of the triad speed measured just before and after; above one in the caches.", ""] + table(
                ["kernel", "gates", "threads", "ns a gate", "share of triad"], rows)


def elementwise(rounds):
    rows = []
    for key in rounds[0]:
        _, kernel, count, threads = key.split("/")
        rows.append([kernel, f"{int(count):,}", threads, f"{median(rounds, key, 'real_time'):.2f}", f"{median(rounds, key, 'bytes') / 1e9:.0f}",
                     f"{median(rounds, key, 'share'):.2f}"])
    return table(["kernel", "elements", "threads", "us", "GB/s", "share of triad"], rows)


def milliseconds(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def ratios(rounds, names, ratio):
    """"NAME MEDIAN (LEAST to MOST)" of ratio(round, name) over the rounds, for each name."""
    found = {name: sorted(ratio(each, name) for each in rounds) for name in names}
    return ", ".join(f"{name} {statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})" for name, values in found.items())


def best(own, what):
    """The milliseconds of our step at its best number of threads, for a peer's NETWORK-KIND or NETWORK-VARIANT-KIND: a variant of theirs alone
    is compared with our NETWORK-KIND."""
    network, *_, kind = what.split("-")
    times = lambda name: [entry["real_time"] / 1e3 for key, entry in own.items() if key.split("/")[1] == name]
    return min(times(what) or times(f"{network}-{kind}"))


def step(rounds):
    rows, (own, torch) = [], rounds[0]
    owns = [each for each, _ in rounds]
    for key in own:
        _, what, threads = key.split("/")
        rows.append([f"Tombola, {what}", threads, milliseconds(median(owns, key, "real_time") / 1e3), f"{median(owns, key, 'floor'):.2f}"])
    for group, words in (("steps", ""), ("as_it_comes", " as it comes")) if torch else ():
        for what, times in torch[group].items():
            for threads in times:
                time = statistics.median(found[group][what][threads] for _, found in rounds)
                rows.append([f"PyTorch {torch['version']}{words}, {what}", threads, milliseconds(time), "–"])
    lines = table(["step, batch 128 (vit: 64)", "threads", "ms", "times its products at the peak"], rows)
    networks = [key.split("/")[1].removesuffix("-gated") for key in own if key.endswith("-gated/1")]
    gated_over_dense = ratios(rounds, networks, lambda each, network: best(each[0], f"{network}-gated") / best(each[0], f"{network}-dense"))
    of_rounds = f"{len(rounds)} round{'s' * (len(rounds) != 1)}"
    lines += ["", f"Of each ratio: the median of {of_rounds}, and the least and the largest. Gated over dense: {gated_over_dense}."]
    if torch:
        against = {group: ratios(rounds, torch[group], lambda each, what: min(each[1][group][what].values()) / best(each[0], what))
                   for group in ("steps", "as_it_comes")}
        product = statistics.median(found["product"] for _, found in rounds)
        lines.append(f"PyTorch's time over ours, each at its best number of threads and PyTorch in its better memory format and form of attention: {against['steps']} "
                     "(its dense twins are trained by fused Adam, ours by SGD; vit-whole computes all of its last block, vit and ours what the class token "
                     f"needs). Its kernels: {torch['capability']}; its product of 1024 x 1024 x 1024 on all threads: {product / 1e9:.0f} GFLOP/s. "
                     f"The same of PyTorch as it comes, its malloc not told to keep memory: {against['as_it_comes']}.")
    return lines


def tape(rounds):
    names = {"relu_forward_and_backward": "relu of 16 elements, forward and backward", "relu_inference": "the same, inference",
             "empty_loop/1": "empty loop of 16 chunks, one thread", "empty_loop/2": "the same, two threads"}
    return table(["what", "ns each"], [[names[key.split("/", 1)[1]], f"{median(rounds, key, 'per_op') * 1e9:.0f}"] for key in rounds[0]])


TABLES = {"step": ("Training steps", step), "gates": ("Gates", gates), "gemm": ("Products of matrices", gemm),
          "conv": ("Convolutions", conv), "attention": ("Attention", attention),
          "elementwise": ("Elementwise, reductions, softmax, normalisation", elementwise), "tape": ("The tape", tape)}


def limits(measured):
    """All figures of this run in order, by threads: peak of multiply-adds, triad speed, share of that peak that multiply-adds alone keep up beside a row,
    seconds from one thread to the other."""
    found = {"peak": {}, "triad": {}, "sustained": {}, "handover": {}}
    for own in measured:
        for key, entry in own.items():
            for name, by_threads in found.items():
                if name in entry:
                    by_threads.setdefault(key.split("/")[-1], []).append(entry[name])
    return [{threads: sorted(all_of) for threads, all_of in sorted(by_threads.items())} for by_threads in found.values()]


def middle(ordered, part=0.5):
    return ordered[int(len(ordered) * part)]


def on_threads(values, write):
    return ", ".join(f"{write(middle(ordered))} on {threads} thread{'s' * (threads != '1')}" for threads, ordered in values.items())


def machine():
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    compiler = subprocess.run(["c++", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    processors = len(os.sched_getaffinity(0))
    return f"{models[0] if models else 'unknown'}, {platform.machine()}, {processors} processors; {compiler}; {datetime.date.today()}."


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--only", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--torch", default="")
    parser.add_argument("--torch-script", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    chosen = arguments.only.split(",")
    unknown = [name for name in chosen if name not in TABLES]
    if unknown:
        sys.exit(f"bench: unknown {' '.join(unknown)}; known: {' '.join(TABLES)}")
    results, measured = {}, []
    for name in TABLES:
        if name not in chosen:
            continue
        if name == "step":
            results[name] = run_step_rounds(arguments.programs / name, arguments.rounds, arguments.torch, arguments.torch_script)
            measured += [own for own, _ in results[name]]
        else:
            results[name] = [run(arguments.programs / name) for _ in range(arguments.rounds)]
            measured += results[name]

    peaks, triads, kept_up, handovers = limits(measured)
    lines = ["# Results of the microbenchmarks", "",
             f"Written by `tools/bench`. Medians of {arguments.rounds} rounds; of ratios, the medians of those within a round.", "", machine(), ""]
    for name, values, unit in (("Multiply-adds", peaks, "GFLOP/s"), ("Triad", triads, "GB/s")):
        if values:
            lines.append(f"{name}: " + on_threads(values, lambda value: f"{value / 1e9:.0f} {unit}") + " (median of this run).")
    if {"1", "2"} <= peaks.keys():
        lines.append(f"Two threads' peak is {middle(peaks['2']) / middle(peaks['1']):.2f} times one thread's; a run below 1.9 does not count.")
    if kept_up:
        lines.append("Kept up for a tenth of a second beside each row, multiply-adds alone reach " + on_threads(kept_up, lambda share: f"{100 * share:.0f}% of it") +
                     ": the rest of the time the host takes, from the rows as well.")
    if handovers:
        lines.append(f"A cache line goes from one of two threads to the other in {1e9 * middle(handovers['2']):.0f} ns, beside a tenth of the rows in "
                     f"{1e9 * middle(handovers['2'], 0.9):.0f} or more.")
    for name, found in results.items():
        title, write = TABLES[name]
        lines += ["", f"## {title}", "", *write(found)]
    arguments.out.write_text("\n".join(lines) + "\n")
    print(arguments.out)


if __name__ == "__main__":
    main()

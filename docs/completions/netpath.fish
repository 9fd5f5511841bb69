# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_netpath_global_optspecs
    string join \n v/verbose h/help V/version
end

function __fish_netpath_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_netpath_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_netpath_using_subcommand
    set -l cmd (__fish_netpath_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c netpath -n "__fish_netpath_needs_command" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_needs_command" -s V -l version -d 'Print version'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "trace" -d 'Trace packets and show what each hop costs'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "record" -d 'Keep raw events in a file, with everything needed to replay them elsewhere'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "report" -d 'Render a recording, or a report in JSON'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "explain" -d 'Say in sentences what costs, why, and what would help; from a recording or live'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "diff" -d 'Say what changed between two recordings or reports, hop by hop, and how surely'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "ls" -d 'List what can be traced: containers, namespaces, their interfaces, and how they hang together'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "topo" -d 'Show the path that packets of an interface take on this machine'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "lab" -d 'Ready-made topologies and traffic, in network namespaces of their own'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "hops" -d 'List what netpath can measure'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "doctor" -d 'Say what can be measured on this kernel, by which backend, and why not'
complete -c netpath -n "__fish_netpath_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c netpath -n "__fish_netpath_using_subcommand trace" -s i -l iface -d 'The interface whose packets are traced; its path is found from there. It is looked up in each of what is named below, or web/eth0 in what is called web. Default there: that of the default route, or else the first that is up' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l container -d 'Trace this container: its name, with or without its runtime (docker:web), or how its id begins' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l pod -d 'Trace this pod of Kubernetes' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l pid -d 'Trace the network namespace of this process' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l unit -d 'Trace the network namespace of this unit of systemd' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l netns -d 'Trace this network namespace, or look the interface up there: a name, a path or a pid' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l for -d 'How long, such as 10s or 500ms. Default: until Ctrl-C' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -s c -l count -d 'Stop after this many packets' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l backend -d 'Use only these backends' -r -f -a "tracepoint\t'BTF tracepoints'
fentry\t'function entry and exit, by BPF trampolines'
kprobe\t'function entry and exit, by kprobes'
netfilter-link\t'BPF links around netfilter hooks, Linux 6.4'"
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l sample -d 'Record one packet in N, or as many as the budget allows' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l sample-by -d 'What is drawn: single packets, or conversations with all their packets' -r -f -a "packet\t''
flow\t''"
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l budget -d 'With --sample auto: the share of the machine\'s CPU time that netpath may take' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l inert -d 'Attach everything and record nothing: what attaching alone costs, or asking for the time as well' -r -f -a "nothing\t''
clock\t''"
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l format -d 'How results are shown. Default: tui for a trace on a terminal, else summary' -r -f -a "tui\t'The live view; the summary follows when it is left'
summary\t'Tables for a terminal'
explain\t'What costs, why, and what would help, in sentences'
json\t'The whole report, as docs/report.schema.json describes it'
ndjson\t'The report on one line; while tracing, what is known so far, every second'
markdown\t'Tables for a ticket'
html\t'One page that needs nothing else: pictures, flame, packets, histograms'
folded\t'Folded stacks weighted by nanoseconds of packet latency, for flame graph tools'
svg\t'A flame graph'
speedscope\t'A profile for speedscope'
perfetto\t'Packets on a time line, for Perfetto and chrome://tracing (Chrome\'s trace JSON)'
pcapng\t'The recorded packets\' headers with their hops as comments, for Wireshark; from a recording'"
complete -c netpath -n "__fish_netpath_using_subcommand trace" -s o -l output -d 'Write to a file instead of stdout' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l report -d 'Write the HTML report to a file, too' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l fail-if -d 'Exit with status 5 where this holds, such as \'conntrack.p99 > 2us\', \'group:nat.p99 > 1us\' or \'lost > 0\'. A hop, at each of its places; a cost group (with group: before it where a hop has the same name), all of its hops together; or total; with .mean, .p50, .p90, .p99, .p999, .max, .count or .share; or lost (events), drops (packets lost or refused), incomplete, vanished, negative. Can be given several times' -r
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l color -d 'Whether to colour what a terminal shows. NO_COLOR in the environment means never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t''
never\t''"
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l all -d 'Trace everything that this host has, also what comes later; with one of the others, all that hangs together with it'
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l log-kernel -d 'Let the programs in the kernel log to stderr. This costs time'
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l json -d 'The same as --format json'
complete -c netpath -n "__fish_netpath_using_subcommand trace" -l ascii -d 'Draw the live view with ASCII alone'
complete -c netpath -n "__fish_netpath_using_subcommand trace" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand trace" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand record" -s i -l iface -d 'The interface whose packets are traced; its path is found from there. It is looked up in each of what is named below, or web/eth0 in what is called web. Default there: that of the default route, or else the first that is up' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l container -d 'Trace this container: its name, with or without its runtime (docker:web), or how its id begins' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l pod -d 'Trace this pod of Kubernetes' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l pid -d 'Trace the network namespace of this process' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l unit -d 'Trace the network namespace of this unit of systemd' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l netns -d 'Trace this network namespace, or look the interface up there: a name, a path or a pid' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l for -d 'How long, such as 10s or 500ms. Default: until Ctrl-C' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -s c -l count -d 'Stop after this many packets' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l backend -d 'Use only these backends' -r -f -a "tracepoint\t'BTF tracepoints'
fentry\t'function entry and exit, by BPF trampolines'
kprobe\t'function entry and exit, by kprobes'
netfilter-link\t'BPF links around netfilter hooks, Linux 6.4'"
complete -c netpath -n "__fish_netpath_using_subcommand record" -l sample -d 'Record one packet in N, or as many as the budget allows' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l sample-by -d 'What is drawn: single packets, or conversations with all their packets' -r -f -a "packet\t''
flow\t''"
complete -c netpath -n "__fish_netpath_using_subcommand record" -l budget -d 'With --sample auto: the share of the machine\'s CPU time that netpath may take' -r
complete -c netpath -n "__fish_netpath_using_subcommand record" -l inert -d 'Attach everything and record nothing: what attaching alone costs, or asking for the time as well' -r -f -a "nothing\t''
clock\t''"
complete -c netpath -n "__fish_netpath_using_subcommand record" -s o -l output -d 'The recording' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand record" -l all -d 'Trace everything that this host has, also what comes later; with one of the others, all that hangs together with it'
complete -c netpath -n "__fish_netpath_using_subcommand record" -l log-kernel -d 'Let the programs in the kernel log to stderr. This costs time'
complete -c netpath -n "__fish_netpath_using_subcommand record" -l capture-headers -d 'Keep packets\' headers, for `netpath report --format pcapng`: link, network and transport header, 127 bytes at most, where a packet is first seen and where it leaves an IP stack. Payload is not recorded'
complete -c netpath -n "__fish_netpath_using_subcommand record" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand record" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand report" -l format -d 'How results are shown. Default: tui for a trace on a terminal, else summary' -r -f -a "tui\t'The live view; the summary follows when it is left'
summary\t'Tables for a terminal'
explain\t'What costs, why, and what would help, in sentences'
json\t'The whole report, as docs/report.schema.json describes it'
ndjson\t'The report on one line; while tracing, what is known so far, every second'
markdown\t'Tables for a ticket'
html\t'One page that needs nothing else: pictures, flame, packets, histograms'
folded\t'Folded stacks weighted by nanoseconds of packet latency, for flame graph tools'
svg\t'A flame graph'
speedscope\t'A profile for speedscope'
perfetto\t'Packets on a time line, for Perfetto and chrome://tracing (Chrome\'s trace JSON)'
pcapng\t'The recorded packets\' headers with their hops as comments, for Wireshark; from a recording'"
complete -c netpath -n "__fish_netpath_using_subcommand report" -s o -l output -d 'Write to a file instead of stdout' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand report" -l report -d 'Write the HTML report to a file, too' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand report" -l fail-if -d 'Exit with status 5 where this holds, such as \'conntrack.p99 > 2us\', \'group:nat.p99 > 1us\' or \'lost > 0\'. A hop, at each of its places; a cost group (with group: before it where a hop has the same name), all of its hops together; or total; with .mean, .p50, .p90, .p99, .p999, .max, .count or .share; or lost (events), drops (packets lost or refused), incomplete, vanished, negative. Can be given several times' -r
complete -c netpath -n "__fish_netpath_using_subcommand report" -l color -d 'Whether to colour what a terminal shows. NO_COLOR in the environment means never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t''
never\t''"
complete -c netpath -n "__fish_netpath_using_subcommand report" -l json -d 'The same as --format json'
complete -c netpath -n "__fish_netpath_using_subcommand report" -l ascii -d 'Draw the live view with ASCII alone'
complete -c netpath -n "__fish_netpath_using_subcommand report" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand explain" -s i -l iface -d 'The interface whose packets are traced; its path is found from there. It is looked up in each of what is named below, or web/eth0 in what is called web. Default there: that of the default route, or else the first that is up' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l container -d 'Trace this container: its name, with or without its runtime (docker:web), or how its id begins' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l pod -d 'Trace this pod of Kubernetes' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l pid -d 'Trace the network namespace of this process' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l unit -d 'Trace the network namespace of this unit of systemd' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l netns -d 'Trace this network namespace, or look the interface up there: a name, a path or a pid' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l sample -d 'Record one packet in N, or as many as the budget allows' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l sample-by -d 'What is drawn: single packets, or conversations with all their packets' -r -f -a "packet\t''
flow\t''"
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l budget -d 'With --sample auto: the share of the machine\'s CPU time that netpath may take' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l inert -d 'Attach everything and record nothing: what attaching alone costs, or asking for the time as well' -r -f -a "nothing\t''
clock\t''"
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l for -d 'How long, such as 10s or 500ms. Default: until Ctrl-C' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -s c -l count -d 'Stop after this many packets' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l backend -d 'Use only these backends' -r -f -a "tracepoint\t'BTF tracepoints'
fentry\t'function entry and exit, by BPF trampolines'
kprobe\t'function entry and exit, by kprobes'
netfilter-link\t'BPF links around netfilter hooks, Linux 6.4'"
complete -c netpath -n "__fish_netpath_using_subcommand explain" -s o -l output -d 'Write to a file instead of stdout' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l fail-if -d 'Exit with status 5 where this holds, such as \'conntrack.p99 > 2us\', \'group:nat.p99 > 1us\' or \'lost > 0\'. A hop, at each of its places; a cost group (with group: before it where a hop has the same name), all of its hops together; or total; with .mean, .p50, .p90, .p99, .p999, .max, .count or .share; or lost (events), drops (packets lost or refused), incomplete, vanished, negative. Can be given several times' -r
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l color -d 'Whether to colour what a terminal shows. NO_COLOR in the environment means never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t''
never\t''"
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l all -d 'Trace everything that this host has, also what comes later; with one of the others, all that hangs together with it'
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l log-kernel -d 'Let the programs in the kernel log to stderr. This costs time'
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l json -d 'Write the report, with its findings, as JSON'
complete -c netpath -n "__fish_netpath_using_subcommand explain" -l ascii -d 'Draw the live view with ASCII alone'
complete -c netpath -n "__fish_netpath_using_subcommand explain" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand diff" -l format -d 'How the difference is written' -r -f -a "summary\t'Tables of what changed'
json\t'All hops, with figures, uncertainties and verdicts'
svg\t'A differential flame graph'
html\t'A page'"
complete -c netpath -n "__fish_netpath_using_subcommand diff" -s o -l output -d 'Write to a file instead of stdout' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand diff" -l color -d 'Whether to colour what a terminal shows. NO_COLOR in the environment means never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t''
never\t''"
complete -c netpath -n "__fish_netpath_using_subcommand diff" -l ascii -d 'Draw the live view with ASCII alone'
complete -c netpath -n "__fish_netpath_using_subcommand diff" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand ls" -l format -d 'How it is written' -r -f -a "text\t'A line each'
json\t'With all interfaces and addresses'"
complete -c netpath -n "__fish_netpath_using_subcommand ls" -l json -d 'The same as --format json'
complete -c netpath -n "__fish_netpath_using_subcommand ls" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand topo" -s i -l iface -d 'The interface whose packets are traced; its path is found from there. It is looked up in each of what is named below, or web/eth0 in what is called web. Default there: that of the default route, or else the first that is up' -r
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l container -d 'Trace this container: its name, with or without its runtime (docker:web), or how its id begins' -r
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l pod -d 'Trace this pod of Kubernetes' -r
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l pid -d 'Trace the network namespace of this process' -r
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l unit -d 'Trace the network namespace of this unit of systemd' -r
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l netns -d 'Trace this network namespace, or look the interface up there: a name, a path or a pid' -r
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l all -d 'Trace everything that this host has, also what comes later; with one of the others, all that hangs together with it'
complete -c netpath -n "__fish_netpath_using_subcommand topo" -l json -d 'Write JSON'
complete -c netpath -n "__fish_netpath_using_subcommand topo" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand topo" -s h -l help -d 'Print help'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -s h -l help -d 'Print help'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -f -a "list" -d 'List the topologies and experiments'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -f -a "run" -d 'Bring a topology or an experiment\'s variant up, send traffic through it, and trace it'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -f -a "compare" -d 'Hold two topologies or variants against each other, and say which hops make the difference'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -f -a "matrix" -d 'Run the published experiments, and hold what they show against what was published'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -f -a "agent" -d 'Carry one end of a lab\'s traffic in its guest; the guest runs it by itself'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and not __fish_seen_subcommand_from list run compare matrix agent help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l for -d 'How long to trace' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l load -d 'What to send' -r -f -a "tcp-rr\t'TCP requests and replies on one connection, one in flight'
udp-rr\t'UDP requests and replies, one in flight'
connect\t'A TCP connection for every request'
bulk\t'TCP, as much as there can be'
flood\t'UDP datagrams one way'
ping\t'ICMP echo, one in flight'
iperf3\t'TCP, as much as there can be, sent and measured by iperf3'
nuttcp\t'The same by nuttcp'"
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l request -d 'Bytes of a request, of a datagram of the flood, or of an echo' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l reply -d 'Bytes of a reply' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l parallel -d 'How many of each load at once' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l rate -d 'Datagrams of the flood per second. Default: as many as can be sent' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l cpus -d 'The CPUs of clients and servers. Default: the scheduler\'s choice' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l format -d 'How results are shown. Default: tui for a trace on a terminal, else summary' -r -f -a "tui\t'The live view; the summary follows when it is left'
summary\t'Tables for a terminal'
explain\t'What costs, why, and what would help, in sentences'
json\t'The whole report, as docs/report.schema.json describes it'
ndjson\t'The report on one line; while tracing, what is known so far, every second'
markdown\t'Tables for a ticket'
html\t'One page that needs nothing else: pictures, flame, packets, histograms'
folded\t'Folded stacks weighted by nanoseconds of packet latency, for flame graph tools'
svg\t'A flame graph'
speedscope\t'A profile for speedscope'
perfetto\t'Packets on a time line, for Perfetto and chrome://tracing (Chrome\'s trace JSON)'
pcapng\t'The recorded packets\' headers with their hops as comments, for Wireshark; from a recording'"
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -s o -l output -d 'Write to a file instead of stdout' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l report -d 'Write the HTML report to a file, too' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l fail-if -d 'Exit with status 5 where this holds, such as \'conntrack.p99 > 2us\', \'group:nat.p99 > 1us\' or \'lost > 0\'. A hop, at each of its places; a cost group (with group: before it where a hop has the same name), all of its hops together; or total; with .mean, .p50, .p90, .p99, .p999, .max, .count or .share; or lost (events), drops (packets lost or refused), incomplete, vanished, negative. Can be given several times' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l color -d 'Whether to colour what a terminal shows. NO_COLOR in the environment means never' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t''
never\t''"
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -s 6 -l ipv6 -d 'Over IPv6'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l reverse -d 'The topology\'s server asks, or sends, and its client answers, or receives'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l json -d 'The same as --format json'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -l ascii -d 'Draw the live view with ASCII alone'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -l runs -d 'How often everything is measured, in turns' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -l run-time -d 'How long each run is' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -l cpus -d 'The CPUs of clients and servers, where a load keeps them apart; elsewhere both are on the server\'s. Default: the first two; the scheduler\'s choice where there is one only' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -l format -d 'How results are written' -r -f -a "summary\t'Tables for people'
json\t'All figures, as netpath.lab/1'
markdown\t'What was published beside what was found here, as a table'"
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -s o -l output -d 'Write lab.html, lab.json, lab.md and lab.txt into this directory as well' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -l no-trace -d 'Leave out the traced runs, which say which hops make a difference'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -l json -d 'The same as --format json'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from compare" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l within -d 'Be done by then: where the machine is too slow for what is asked, runs become shorter, and then fewer' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l runs -d 'How often everything is measured, in turns' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l run-time -d 'How long each run is' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l cpus -d 'The CPUs of clients and servers, where a load keeps them apart; elsewhere both are on the server\'s. Default: the first two; the scheduler\'s choice where there is one only' -r
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l format -d 'How results are written' -r -f -a "summary\t'Tables for people'
json\t'All figures, as netpath.lab/1'
markdown\t'What was published beside what was found here, as a table'"
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -s o -l output -d 'Write lab.html, lab.json, lab.md and lab.txt into this directory as well' -r -F
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l quick -d 'Fewer and shorter runs: wider spreads'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l no-trace -d 'Leave out the traced runs, which say which hops make a difference'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -l json -d 'The same as --format json'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from matrix" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from agent" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from agent" -s h -l help -d 'Print help'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the topologies and experiments'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "run" -d 'Bring a topology or an experiment\'s variant up, send traffic through it, and trace it'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "compare" -d 'Hold two topologies or variants against each other, and say which hops make the difference'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "matrix" -d 'Run the published experiments, and hold what they show against what was published'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "agent" -d 'Carry one end of a lab\'s traffic in its guest; the guest runs it by itself'
complete -c netpath -n "__fish_netpath_using_subcommand lab; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c netpath -n "__fish_netpath_using_subcommand hops" -l json -d 'Write JSON'
complete -c netpath -n "__fish_netpath_using_subcommand hops" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand hops" -s h -l help -d 'Print help'
complete -c netpath -n "__fish_netpath_using_subcommand doctor" -l backend -d 'Try only these backends' -r -f -a "tracepoint\t'BTF tracepoints'
fentry\t'function entry and exit, by BPF trampolines'
kprobe\t'function entry and exit, by kprobes'
netfilter-link\t'BPF links around netfilter hooks, Linux 6.4'"
complete -c netpath -n "__fish_netpath_using_subcommand doctor" -l json -d 'Write JSON'
complete -c netpath -n "__fish_netpath_using_subcommand doctor" -s v -l verbose -d 'Say more on stderr; twice for everything'
complete -c netpath -n "__fish_netpath_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "trace" -d 'Trace packets and show what each hop costs'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "record" -d 'Keep raw events in a file, with everything needed to replay them elsewhere'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "report" -d 'Render a recording, or a report in JSON'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "explain" -d 'Say in sentences what costs, why, and what would help; from a recording or live'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "diff" -d 'Say what changed between two recordings or reports, hop by hop, and how surely'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "ls" -d 'List what can be traced: containers, namespaces, their interfaces, and how they hang together'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "topo" -d 'Show the path that packets of an interface take on this machine'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "lab" -d 'Ready-made topologies and traffic, in network namespaces of their own'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "hops" -d 'List what netpath can measure'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "doctor" -d 'Say what can be measured on this kernel, by which backend, and why not'
complete -c netpath -n "__fish_netpath_using_subcommand help; and not __fish_seen_subcommand_from trace record report explain diff ls topo lab hops doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c netpath -n "__fish_netpath_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "list" -d 'List the topologies and experiments'
complete -c netpath -n "__fish_netpath_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "run" -d 'Bring a topology or an experiment\'s variant up, send traffic through it, and trace it'
complete -c netpath -n "__fish_netpath_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "compare" -d 'Hold two topologies or variants against each other, and say which hops make the difference'
complete -c netpath -n "__fish_netpath_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "matrix" -d 'Run the published experiments, and hold what they show against what was published'
complete -c netpath -n "__fish_netpath_using_subcommand help; and __fish_seen_subcommand_from lab" -f -a "agent" -d 'Carry one end of a lab\'s traffic in its guest; the guest runs it by itself'

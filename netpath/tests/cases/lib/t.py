"""Bounded, low-rate traffic for the cases. Every command ends by itself; a server that nobody stops, late.

udp-echo H P [--for S] [--delay MS]      udp-rr H P [--count N] [--size B] [--gap MS] [--timeout S] [--from H:P]
udp-sink H P [--for S]                   udp-send H P [--count N] [--size B] [--gap MS] [--from H:P]
tcp-echo H P [--for S] [--delay MS]      tcp-rr H P [--count N] [--size B] [--gap MS]
tcp-connect H P [--count N] [--gap MS] [--from H:P] [--timeout S]
ping H [--count N] [--gap MS] [--size B] [--df]
nfq NUM [--hold MS] [--for S]            NFQUEUE: accept every packet after MS
offload IF tx|rx|gso|tso|gro on|off      as ethtool -K
xdp IF pass|drop [--for S]               an XDP program of two instructions, while this runs
"""
import argparse, ctypes, fcntl, os, select, signal, socket, struct, sys, threading, time

def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET

def end(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)

def stats(name, times, lost, what="round trips"):
    times = sorted(times)
    if times:
        mid = times[len(times) // 2]
        print(f"{name}: {len(times)} {what}, min {times[0]*1e3:.3f} ms, median {mid*1e3:.3f} ms, "
              f"max {times[-1]*1e3:.3f} ms, lost {lost}", flush=True)
    else:
        print(f"{name}: none, lost {lost}", flush=True)

def udp_echo(a):
    s = socket.socket(family(a.host), socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((a.host, a.port))
    until, n = time.monotonic() + a.for_, 0
    s.settimeout(0.25)
    while time.monotonic() < until:
        try:
            data, who = s.recvfrom(65535)
        except socket.timeout:
            continue
        n += 1
        if a.delay:
            time.sleep(a.delay / 1e3)
        try:
            s.sendto(data, who)
        except OSError as e:
            print("udp-echo: send:", e, flush=True)
    print(f"udp-echo: {n} datagrams", flush=True)

def udp_rr(a):
    s = socket.socket(family(a.host), socket.SOCK_DGRAM)
    if a.from_:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(end(a.from_))
    s.settimeout(a.timeout)
    times, lost = [], 0
    for i in range(a.count):
        data = struct.pack("!I", i).ljust(a.size, b"x")
        t0 = time.monotonic()
        try:
            s.sendto(data, (a.host, a.port))
            while True:
                got, _ = s.recvfrom(65535)
                if got[:4] == data[:4]:
                    break
            times.append(time.monotonic() - t0)
        except OSError as e:
            lost += 1
            print(f"udp-rr: {i}: {type(e).__name__} {e} after {(time.monotonic()-t0)*1e3:.0f} ms", flush=True)
        time.sleep(a.gap / 1e3)
    stats("udp-rr", times, lost)

def udp_sink(a):
    s = socket.socket(family(a.host), socket.SOCK_DGRAM)
    s.bind((a.host, a.port))
    s.settimeout(0.25)
    until, n, size, stopped = time.monotonic() + a.for_, 0, 0, []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    while time.monotonic() < until and not stopped:
        try:
            data, _ = s.recvfrom(65535)
            n, size = n + 1, size + len(data)
        except socket.timeout:
            pass
    print(f"udp-sink: {n} datagrams, {size} bytes", flush=True)

def udp_send(a):
    s = socket.socket(family(a.host), socket.SOCK_DGRAM)
    if a.from_:
        s.bind(end(a.from_))
    failed = 0
    for i in range(a.count):
        try:
            s.sendto(struct.pack("!I", i).ljust(a.size, b"x"), (a.host, a.port))
        except OSError as e:
            failed += 1
            print("udp-send:", e, flush=True)
        time.sleep(a.gap / 1e3)
    print(f"udp-send: {a.count} datagrams of {a.size} bytes, {failed} refused", flush=True)

def tcp_echo(a):
    l = socket.socket(family(a.host), socket.SOCK_STREAM)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind((a.host, a.port))
    l.listen(64)
    until = time.monotonic() + a.for_
    def serve(c):
        c.settimeout(max(0.1, until - time.monotonic()))
        try:
            while True:
                data = c.recv(65536)
                if not data:
                    break
                if a.delay:
                    time.sleep(a.delay / 1e3)
                c.sendall(data)
        except OSError as e:
            print("tcp-echo:", e, flush=True)
        c.close()
    l.settimeout(0.25)
    while time.monotonic() < until:
        try:
            c, who = l.accept()
        except socket.timeout:
            continue
        print("tcp-echo: from", who[0], who[1], flush=True)
        threading.Thread(target=serve, args=(c,), daemon=True).start()

def tcp_rr(a):
    s = socket.create_connection((a.host, a.port), timeout=a.timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times, lost = [], 0
    for _ in range(a.count):
        t0 = time.monotonic()
        s.sendall(b"x" * a.size)
        left = a.size
        while left:
            got = s.recv(left)
            if not got:
                lost += 1
                break
            left -= len(got)
        else:
            times.append(time.monotonic() - t0)
        time.sleep(a.gap / 1e3)
    s.close()
    stats("tcp-rr", times, lost)

def tcp_connect(a):
    times, lost = [], 0
    for i in range(a.count):
        s = socket.socket(family(a.host), socket.SOCK_STREAM)
        if a.from_:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(end(a.from_))
        s.settimeout(a.timeout)
        t0 = time.monotonic()
        try:
            s.connect((a.host, a.port))
            times.append(time.monotonic() - t0)
            print(f"tcp-connect: {i} from port {s.getsockname()[1]}: {(time.monotonic()-t0)*1e3:.1f} ms", flush=True)
        except OSError as e:
            lost += 1
            print(f"tcp-connect: {i}: {type(e).__name__} {e} after {(time.monotonic()-t0)*1e3:.0f} ms", flush=True)
        s.close()
        time.sleep(a.gap / 1e3)
    stats("tcp-connect", times, lost, "connects")

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data)//2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff

def ping(a):
    six = ":" in a.host
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, 58 if six else 1)
    if a.df and not six:
        s.setsockopt(socket.IPPROTO_IP, 10, 2)   # IP_MTU_DISCOVER, DO
    s.settimeout(a.timeout)
    me, times, lost = os.getpid() & 0xffff, [], 0
    for i in range(a.count):
        kind = 128 if six else 8
        body = b"p" * a.size
        head = struct.pack("!BBHHH", kind, 0, 0, me, i)
        if not six:
            head = struct.pack("!BBHHH", kind, 0, checksum(head + body), me, i)
        t0 = time.monotonic()
        try:
            s.sendto(head + body, (a.host, 0))
            while True:
                got = s.recv(65535)
                if not six:
                    got = got[(got[0] & 15) * 4:]
                kind, _, _, who, seq = struct.unpack("!BBHHH", got[:8])
                if kind == (129 if six else 0) and who == me and seq == i:
                    break
                if time.monotonic() - t0 > a.timeout:
                    raise socket.timeout("timed out")
            times.append(time.monotonic() - t0)
        except OSError as e:
            lost += 1
            print(f"ping: {i}: {type(e).__name__} {e} after {(time.monotonic()-t0)*1e3:.0f} ms", flush=True)
        time.sleep(a.gap / 1e3)
    stats("ping", times, lost)

# ---- NFQUEUE over plain netlink -------------------------------------------------------------------
def nfq(a):
    """Binds queue NUM and accepts each packet --hold ms after it came; prints when it came."""
    NFNL_QUEUE, CONFIG, PACKET, VERDICT = 3, 2, 0, 1
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.bind((0, 0))
    def attr(kind, data):
        size = 4 + len(data)
        return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)
    def send(kind, payload, family=0, ack=False):
        body = struct.pack("!BBH", family, 0, a.num) + payload
        s.send(struct.pack("=IHHII", 16 + len(body), NFNL_QUEUE << 8 | kind, 1 | (4 if ack else 0), 0, 0) + body)
    def config(command, pf):
        send(CONFIG, attr(1, struct.pack("!BBH", command, 0, pf)), ack=True)
        reply = s.recv(65535)
        code = struct.unpack_from("=i", reply, 16)[0]
        if code:
            raise OSError(-code, os.strerror(-code))
    config(1, 0)                                   # NFQNL_CFG_CMD_BIND
    send(CONFIG, attr(2, struct.pack("!IB", 64, 2)), ack=True)     # copy 64 bytes of each packet
    s.recv(65535)
    until, start, held, n = time.monotonic() + a.for_, time.monotonic(), [], 0
    while time.monotonic() < until or held:
        now = time.monotonic()
        while held and held[0][0] <= now:
            _, ident = held.pop(0)
            send(VERDICT, attr(2, struct.pack("!II", 1, ident)))   # NF_ACCEPT
        wait = min([held[0][0] - now] if held else [0.25])
        if not select.select([s], [], [], max(0.0, wait))[0]:
            continue
        data, at = s.recv(65535), 0
        while at + 16 <= len(data):
            size, kind = struct.unpack_from("=IH", data, at)
            if kind == NFNL_QUEUE << 8 | PACKET:
                pos = at + 20
                while pos + 4 <= at + size:
                    alen, akind = struct.unpack_from("=HH", data, pos)
                    if akind & 0x7fff == 1:
                        ident = struct.unpack_from("!I", data, pos + 4)[0]
                        held.append((time.monotonic() + a.hold / 1e3, ident))
                        n += 1
                        print(f"nfq {a.num}: packet {ident} at {time.monotonic()-start:.3f} s", flush=True)
                    pos += alen + -alen % 4
            at += size + -size % 4
    print(f"nfq {a.num}: {n} packets", flush=True)

def offload(a):
    number = {"rx": 0x15, "tx": 0x17, "tso": 0x1f, "gso": 0x24, "gro": 0x2c}[a.what]
    value = ctypes.create_string_buffer(struct.pack("=II", number, a.state == "on"))
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(s, 0x8946, struct.pack("16sP", a.iface.encode(), ctypes.addressof(value)))

def xdp(a):
    libc = ctypes.CDLL(None, use_errno=True)
    def bpf(cmd, attr):
        buf = ctypes.create_string_buffer(attr, 128)
        fd = libc.syscall(321, cmd, buf, 128)              # bpf(2), x86-64
        if fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return fd
    code = struct.pack("=BBhi", 0xb7, 0, 0, {"drop": 1, "pass": 2}[a.action]) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    insns, gpl = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    prog = bpf(5, struct.pack("=IIQQIIQII16s", 6, 2, ctypes.addressof(insns), ctypes.addressof(gpl), 0, 0, 0, 0, 0, b"case"))
    link = bpf(28, struct.pack("=IIII", prog, socket.if_nametoindex(a.iface), 37, 4))      # BPF_XDP, in the driver
    print(f"xdp: {a.action} on {a.iface}", flush=True)
    time.sleep(a.for_)
    os.close(link)

def main():
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(dest="do", required=True)
    for name in ("udp-echo", "udp-rr", "udp-sink", "udp-send", "tcp-echo", "tcp-rr", "tcp-connect"):
        q = sub.add_parser(name)
        q.add_argument("host"); q.add_argument("port", type=int)
    sub.add_parser("ping").add_argument("host")
    sub.add_parser("nfq").add_argument("num", type=int)
    q = sub.add_parser("offload")
    q.add_argument("iface"); q.add_argument("what"); q.add_argument("state")
    q = sub.add_parser("xdp")
    q.add_argument("iface"); q.add_argument("action")
    for q in sub.choices.values():
        q.add_argument("--for", dest="for_", type=float, default=120)
        q.add_argument("--count", type=int, default=10)
        q.add_argument("--size", type=int, default=64)
        q.add_argument("--gap", type=float, default=50)
        q.add_argument("--delay", type=float, default=0)
        q.add_argument("--hold", type=float, default=0)
        q.add_argument("--timeout", type=float, default=2)
        q.add_argument("--from", dest="from_")
        q.add_argument("--df", action="store_true")
    a = p.parse_args()
    globals()[a.do.replace("-", "_")](a)

if __name__ == "__main__":
    main()

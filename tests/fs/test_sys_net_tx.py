"""Each transmit queue says and takes what it has on Linux: XPS, byte queue limits, rates."""

import errno

import pytest

TEN_S = 10_000_000_000


@pytest.fixture
def card(boot, tmp_path):
    def make(style, queues=2, rate="20 kHz"):
        path = tmp_path / "card.toml"
        path.write_text(f"""
            [machine]
            cpus = 4

            [[device]]
            name = "eth0"
            driver = "pseudokern.drivers.nic"
            bdf = "00:02.0"
            style = "{style}"
            queues = {queues}

            [[load]]
            device = "eth0"
            tx_rate = "{rate}"
            """)
        return boot(path)

    return make


def queue(number=0):
    return f"/sys/class/net/eth0/queues/tx-{number}"


def text(files, path):
    link = files.tree.readlink("/sys/class/net/eth0")
    place = f"/sys/{link.removeprefix('../../')}"
    return files.read(path.replace("/sys/class/net/eth0", place)).decode().strip()


def write(files, path, data):
    link = files.tree.readlink("/sys/class/net/eth0")
    place = f"/sys/{link.removeprefix('../../')}"
    files.write(path.replace("/sys/class/net/eth0", place), data)


@pytest.mark.parametrize(
    ("style", "masks"),
    [
        ("ice", ["1", "2"]),
        ("mlx5", ["5", "a"]),  # no CPU goes without a queue
        ("virtio-net", ["3", "c"]),
        ("igb", ["0", "0"]),
    ],
)
def test_drivers_say_which_cpus_send_by_which_queue_or_leave_it_to_the_hash(card, style, masks):
    files = card(style)
    assert [text(files, f"{queue(number)}/xps_cpus") for number in range(2)] == masks


def sent(files):
    (nic,) = [device for device in files.machine.devices if device.name == "eth0"]
    return [ring.posted for ring in nic.tx.rings]


def test_xps_cpus_moves_what_a_cpu_sends_to_the_queue(card):
    files = card("ice")
    for number, mask in enumerate(("0", "f")):
        write(files, f"{queue(number)}/xps_cpus", mask)
    before = sent(files)
    files.run_for(50_000_000)
    first, second = (now - then for now, then in zip(sent(files), before, strict=True))
    assert first == 0
    assert second == pytest.approx(1000, rel=0.1)


def test_what_user_set_stays_when_the_interface_goes_down_and_up(card):
    files = card("ice")
    write(files, f"{queue(1)}/xps_cpus", "c")
    write(files, "/sys/class/net/eth0/flags", "0x1002")
    write(files, "/sys/class/net/eth0/flags", "0x1003")
    assert text(files, f"{queue(1)}/xps_cpus") == "c"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("xps_cpus", "x", errno.EINVAL),
        ("xps_cpus", "10", errno.EOVERFLOW),
        ("xps_rxqs", "10000000000", errno.EOVERFLOW),
        ("tx_maxrate", "100", errno.EOPNOTSUPP),
        ("byte_queue_limits/limit", "-1", errno.EINVAL),
        ("byte_queue_limits/limit_max", "1879048193", errno.EINVAL),
        ("byte_queue_limits/hold_time", "4294967296", errno.ERANGE),
    ],
)
def test_what_makes_no_sense_is_refused(card, name, data, code):
    files = card("igb")
    with pytest.raises(OSError) as refused:  # noqa: PT011 - the errno is looked at below
        write(files, f"{queue()}/{name}", data)
    assert refused.value.errno == code


def test_a_card_with_one_queue_has_nothing_to_choose(card):
    files = card("e1000e", queues=1)
    for name in ("xps_cpus", "xps_rxqs", "traffic_class"):
        with pytest.raises(FileNotFoundError):
            text(files, f"{queue()}/{name}")
    assert text(files, f"{queue()}/tx_timeout") == "0"


def test_byte_queue_limits_say_what_the_card_has(card):
    files = card("igb")
    limits = f"{queue()}/byte_queue_limits"
    assert text(files, f"{limits}/hold_time") == "1000"
    assert text(files, f"{limits}/limit_max") == "1879048192"
    files.run_for(100_000_000)
    assert int(text(files, f"{limits}/limit")) >= 64
    write(files, f"{limits}/limit_min", "3000")
    write(files, f"{limits}/limit_max", "max")
    files.run_for(100_000_000)
    assert int(text(files, f"{limits}/limit")) >= 3000


def test_tx_maxrate_holds_a_queue_of_mlx5_to_its_megabits(card):
    files = card("mlx5", queues=1, rate="200 kHz")
    write(files, f"{queue()}/tx_maxrate", "10")
    files.run_for(100_000_000)
    before = int(text(files, "/sys/class/net/eth0/statistics/tx_bytes"))
    files.run_for(100_000_000)
    after = int(text(files, "/sys/class/net/eth0/statistics/tx_bytes"))
    assert (after - before) * 8 == pytest.approx(1_000_000, rel=0.05)


@pytest.mark.parametrize(
    ("style", "code", "text"),
    [
        ("mlx5", errno.ERANGE, "eth0: Tx rate 100001, is not in range"),
        ("ice", errno.EINVAL, "eth0: Invalid max rate 100001 specified for the queue 0"),
    ],
)
def test_no_queue_is_given_more_than_the_link_has(card, style, code, text):
    files = card(style, queues=1)
    with pytest.raises(OSError, match="at most 100000") as refused:
        write(files, f"{queue()}/tx_maxrate", "100001")
    assert refused.value.errno == code
    assert next(reversed([record.text for record in files.machine.kernel.log])).endswith(text)
    write(files, f"{queue()}/tx_maxrate", "100000")


def test_tx_queue_len_is_what_the_qdisc_keeps(card):
    files = card("mlx5", queues=1, rate="200 kHz")
    write(files, f"{queue()}/tx_maxrate", "10")
    write(files, "/sys/class/net/eth0/tx_queue_len", "50")
    files.run_for(300_000_000)
    lines = files.read("/sys/kernel/debug/pseudokern/net/eth0/qdisc").decode().splitlines()
    assert lines[0] == "qdisc mq 0: root"
    assert " 50p requeues" in lines[2]
    assert "(dropped 0," not in lines[1]


@pytest.mark.parametrize(
    ("style", "speed", "duplex"),
    [("igb", "1000", "full"), ("ice", "100000", "full"), ("virtio-net", "-1", "unknown")],
)
def test_drivers_say_how_fast_the_link_is_unless_they_do_not_know(card, style, speed, duplex):
    files = card(style)
    where = "/sys/class/net/eth0"
    assert (text(files, f"{where}/speed"), text(files, f"{where}/duplex")) == (speed, duplex)
    write(files, f"{where}/flags", "0x1002")
    with pytest.raises(OSError, match="eth0 is down"):
        text(files, f"{where}/speed")

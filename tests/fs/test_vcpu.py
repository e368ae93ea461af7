"""A device given to a virtual machine: the file vcpu, and the rows PIN, NPI, PIW and PMN."""

import errno

import pytest

from tests.fs.test_faults import Broken

VCPU = "/sys/kernel/debug/pseudokern/vcpu"
IRQ = "29"


@pytest.fixture
def host(boot, tmp_path):
    file = tmp_path / "host.toml"
    file.write_text('[machine]\nbase = "q4"\nname = "host"\niommu = "intel"\n')
    return Host(boot(file))


class Host(Broken):
    def vcpu(self, text):
        self.files.write(VCPU, f"{text}\n")

    def interrupt(self, times=1):
        self.fault("raise", f"{IRQ} {times} 100kHz")

    def rows(self):
        rows = self.files.rows()
        return {label: sum(rows[label]) for label in ("PIN", "NPI", "PIW", IRQ)}

    def state(self):
        return self.files.read(VCPU).decode()


def test_a_running_guest_takes_its_interrupts_and_the_host_sees_nothing(host):
    host.vcpu(f"{IRQ} 2 guest")
    host.interrupt(5)
    assert host.rows() == {"PIN": 0, "NPI": 0, "PIW": 0, IRQ: 0}
    assert host.state() == (f"{IRQ} 2 guest: taken 5, PIR 0x0, ON 0, SN 0, NV 0xf2, NDST 2\n")


def test_while_kvm_works_one_notification_interrupts_the_host(host):
    host.vcpu(f"{IRQ} 2 host")
    host.interrupt(5)
    assert host.files.rows()["PIN"] == [0, 0, 1, 0]
    assert "taken 0, PIR 0x2000000000000, ON 1" in host.state()

    host.vcpu(f"{IRQ} 2 guest")
    assert "taken 1, PIR 0x0, ON 0" in host.state()


def test_a_guest_within_the_guest_has_a_row_of_its_own(host):
    host.vcpu(f"{IRQ} 1 nested")
    host.interrupt()
    assert host.rows() == {"PIN": 0, "NPI": 1, "PIW": 0, IRQ: 0}


def test_a_guest_that_waits_is_woken_once_and_takes_the_rest_itself(host):
    host.vcpu(f"{IRQ} 3 blocked")
    host.interrupt(5)
    assert host.files.rows()["PIW"] == [0, 0, 0, 1]
    assert host.state() == (f"{IRQ} 3 guest: taken 5, PIR 0x0, ON 0, SN 0, NV 0xf2, NDST 3\n")


def test_nobody_is_notified_while_another_task_has_the_cpu(host):
    host.vcpu(f"{IRQ} 0 out")
    host.interrupt(5)
    assert host.rows() == {"PIN": 0, "NPI": 0, "PIW": 0, IRQ: 0}
    assert "PIR 0x2000000000000, ON 0, SN 1" in host.state()


def test_a_device_that_is_given_back_interrupts_the_host_again(host):
    host.vcpu(f"{IRQ} 0 guest")
    host.vcpu(f"{IRQ} none")
    host.interrupt(2)
    assert host.rows() == {"PIN": 0, "NPI": 0, "PIW": 0, IRQ: 2}
    assert host.state() == ""


@pytest.mark.parametrize(
    "text", ["", IRQ, f"{IRQ} 0", f"{IRQ} 0 asleep", f"{IRQ} 9 guest", "4 0 guest", "999 0 guest"]
)
def test_what_makes_no_sense_is_einval(host, text):
    with pytest.raises(OSError, match=r"vcpu|message") as caught:
        host.vcpu(text)
    assert caught.value.errno == errno.EINVAL


def test_without_remapping_there_is_nothing_to_post_with(boot):
    with pytest.raises(OSError, match="iommu") as caught:
        Host(boot("q4")).vcpu(f"{IRQ} 0 guest")
    assert caught.value.errno == errno.EINVAL


def test_notifications_that_nobody_expects_are_counted_where_linux_counts_them(host):
    for vector in ("0xf0", "0xf1", "0xf2"):
        host.fault("spurious_vector", f"1 {vector}")
    assert host.rows() == {"PIN": 1, "NPI": 1, "PIW": 1, IRQ: 0}


@pytest.mark.parametrize(
    ("kernel", "cmdline", "has_row"),
    [
        ("6.18", "intremap=posted_msi", True),
        ("6.18", "", False),
        ("6.12", "intremap=posted_msi", False),
    ],
)
def test_posted_messages_have_a_row_where_the_kernel_knows_them(
    boot, tmp_path, kernel, cmdline, has_row
):
    file = tmp_path / "host.toml"
    file.write_text('[machine]\nbase = "q4"\nname = "host"\niommu = "intel"\n')
    host = Host(boot(file, kernel=kernel, cmdline=cmdline))
    host.interrupt(3)
    assert host.rows()[IRQ] == 3
    assert ("PMN" in host.files.rows()) == has_row
    if has_row:
        assert sum(host.files.rows()["PMN"]) >= 3
        text = host.files.read("/proc/interrupts").decode()
        assert text.endswith("  Posted MSI notification event\n")

"""A suite to copy: what the owner of an image wants to be true of it (docs/pytest.md says how it is run)."""


def test_it_has_come_to_rest(guest):
    assert guest.check_output("systemctl is-system-running") in ("running", "degraded")


def test_there_is_one_way_out(guest):
    assert guest.check_output("ip -4 route show default").count("default") == 1


def test_root_needs_a_key_for_ssh(guest):
    assert guest.service("ssh").is_enabled
    assert "permitrootlogin without-password" in guest.check_output("sshd -T")


def test_the_disk_has_grown_to_the_flavors(guest):
    size = int(guest.check_output("df --output=size --block-size=1M / | tail -1"))
    assert size > 2000


def test_a_login_is_offered_on_the_serial_console(console):
    assert " login:" in console.text()


def test_the_screen_shows_text(screen):
    assert screen.size == (720, 400)
    assert any("login:" in line for line in screen.text)


def test_a_boot_asks_the_metadata_service_little(metadata):
    assert metadata.requests <= 30


def test_nothing_of_the_builders_is_in_the_image(offline):
    assert offline.glob_expand("/etc/ssh/ssh_host_*_key") == []
    assert not offline.exists("/root/.bash_history")


def test_this_one_breaks_the_guest(clean_guest):
    assert clean_guest.run("rm -rf /etc/ssh && touch /root/broken").succeeded
    assert not clean_guest.file("/etc/ssh").exists


def test_and_the_next_finds_it_as_it_was(guest):
    assert guest.file("/etc/ssh").is_directory
    assert not guest.file("/root/broken").exists

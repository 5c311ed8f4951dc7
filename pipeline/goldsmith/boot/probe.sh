# goldsmith's end of the guest channel: runs the commands that arrive on ttyS1.
# It is handed to the guest as a systemd credential and never lies on its disk.  POSIX sh with coreutils.
#
# A line to the guest:   C ID PART BASE64      a part of a command, answered by A ID PART
#                        R ID PARTS SECONDS    run it
#                        H NONCE               answered by H NONCE
# A line from the guest: @goldsmith KIND ID ...; KIND is READY, A, H, O and E (base64 of stdout and stderr),
#                        X (exit status, whether stdout and stderr were cut at LIMIT bytes), L (parts are missing).
LIMIT=1048576
tty=/dev/ttyS1
folder=/run/goldsmith-probe

stty -F "$tty" raw -echo -hupcl clocal cread 115200 || exit 0
exec 3<>"$tty"
umask 077

say() {
    printf '@goldsmith %s\n' "$*" >&3
}

# Each program that is started costs a tenth of a second under emulation, and most commands say little.
send_file() {
    [ -s "$3" ] || return 0
    head -c "$LIMIT" "$3" | base64 -w 768 | sed "s/^/@goldsmith $1 $2 /" >&3
}

cut() {
    if [ -s "$1" ] && [ "$(wc -c <"$1")" -gt "$LIMIT" ]; then echo 1; else echo 0; fi
}

run() {
    mkdir -p "$folder"
    printf '%s' "$buffer" | base64 -d >"$folder/command"
    # A job that the command leaves behind must not hold this channel.
    timeout -k 5 "$2" /bin/sh "$folder/command" </dev/null >"$folder/out" 2>"$folder/err" 3<&-
    status=$?
    send_file O "$1" "$folder/out"
    send_file E "$1" "$folder/err"
    say X "$1" "$status" "$(cut "$folder/out")" "$(cut "$folder/err")"
    rm -rf "$folder"
}

# The first line may follow rubbish from before the port was opened.
printf '\n' >&3
say READY "$(cat /proc/sys/kernel/random/boot_id)"
id=
next=1
buffer=
while read -r kind first second third <&3; do
    case $kind in
    H)
        say H "$first"
        ;;
    C)
        # A part that comes again was answered, and its answer lost.
        [ "$id" = "$first" ] || { id=$first next=1 buffer=; }
        [ "$second" != "$next" ] || { buffer=$buffer$third next=$((next + 1)); }
        say A "$first" "$second"
        ;;
    R)
        if [ "$id" = "$first" ] && [ "$next" -eq $((second + 1)) ]; then
            run "$first" "$third"
        else
            say L "$first"
        fi
        ;;
    esac
done

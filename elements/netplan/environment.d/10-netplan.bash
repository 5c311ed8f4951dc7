export DIB_NETPLAN_MATCH=${DIB_NETPLAN_MATCH:-en* eth*}
# DIB's own ifupdown files for eth0 and eth1 would only mislead.
export DIB_APT_MINIMAL_CREATE_INTERFACES=${DIB_APT_MINIMAL_CREATE_INTERFACES:-0}

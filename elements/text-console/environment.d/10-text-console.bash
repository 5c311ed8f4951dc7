export DIB_TEXT_CONSOLE_SERIAL=${DIB_TEXT_CONSOLE_SERIAL:-ttyS0,115200}
export DIB_TEXT_CONSOLE_TIMEOUT=${DIB_TEXT_CONSOLE_TIMEOUT:-1}
# initcall_blacklist takes away what efifb and simpledrm bind to; kernels before 3.16 do not know it, and video=efifb:off is
# for them.
text_console_arguments="nofb nomodeset gfxpayload=text initcall_blacklist=sysfb_init video=efifb:off consoleblank=0"
export TEXT_CONSOLE_ARGUMENTS="$text_console_arguments console=tty0 console=$DIB_TEXT_CONSOLE_SERIAL"
# DIB's bootloader, where it is in the build, writes the same by itself; these come before its own defaults.
export DIB_BOOTLOADER_DEFAULT_CMDLINE=${DIB_BOOTLOADER_DEFAULT_CMDLINE:-$text_console_arguments}
export DIB_BOOTLOADER_SERIAL_CONSOLE=${DIB_BOOTLOADER_SERIAL_CONSOLE:-$DIB_TEXT_CONSOLE_SERIAL}
export DIB_GRUB_TIMEOUT=${DIB_GRUB_TIMEOUT:-$DIB_TEXT_CONSOLE_TIMEOUT}
unset text_console_arguments

#ps1_sysnative
# Made by goldsmith cloud-config from windows-server, content c754846c4c6e0805: sets what the recipe's elements set in an image.
# cloudbase-init runs it. It changes what differs and nothing else. Its exit codes: 0 all was so already; 1001 restart, do
# not run this again; 1002 it failed, run it again at the next start.
$ErrorActionPreference = 'Stop'
$script:changed = 0

function Say([string]$Text) { Write-Output ('goldsmith cloud-config: ' + $Text) }

function Text-Of($Kind, $Value) { return ([string]$Kind) + '|' + (@($Value) -join [string][char]0) }

# A value below HKEY_LOCAL_MACHINE. Its key may be new, the key above it may not.
function Set-Value([string]$Key, [string]$Name, [Microsoft.Win32.RegistryValueKind]$Kind, $Data) {
    $place = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Key, $true)
    if ($null -eq $place) {
        $above = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Key.Substring(0, $Key.LastIndexOf('\')), $true)
        if ($null -eq $above) { throw ('there is no key above HKLM\' + $Key) }
        $place = $above.CreateSubKey($Key.Substring($Key.LastIndexOf('\') + 1))
    }
    # An array that came out of a function has lost its type.
    if ($Kind -eq 'Binary') { $Data = [byte[]]$Data }
    if ($place.GetValueNames() -contains $Name) {
        $now = $place.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        if ((Text-Of $place.GetValueKind($Name) $now) -ceq (Text-Of $Kind $Data)) { return }
    }
    $place.SetValue($Name, $Data, $Kind)
    $script:changed++
    Say ('set HKLM\' + $Key + ' ' + $Name)
}

function Remove-Value([string]$Key, [string]$Name) {
    $place = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Key, $true)
    if ($null -eq $place -or -not ($place.GetValueNames() -contains $Name)) { return }
    $place.DeleteValue($Name)
    $script:changed++
    Say ('removed HKLM\' + $Key + ' ' + $Name)
}

# What MountedDevices calls a partition of the disk that this Windows is on.
function Get-PartitionBytes([int]$Number) {
    $disk = Get-Disk | Where-Object { $_.IsBoot } | Select-Object -First 1
    $partition = Get-Partition -DiskNumber $disk.Number -PartitionNumber $Number
    if ([string]$disk.PartitionStyle -eq 'GPT') {
        return [byte[]]([Text.Encoding]::ASCII.GetBytes('DMIO:ID:') + ([guid]$partition.Guid).ToByteArray())
    }
    return [byte[]]([BitConverter]::GetBytes([uint32]$disk.Signature) + [BitConverter]::GetBytes([uint64]$partition.Offset))
}

# An option of an ini file, where the file exists. It is read at the next start, so it asks for none.
function Set-IniOption([string]$File, [string]$Section, [string]$Option, [string]$Value) {
    $path = $env:SystemDrive + $File
    if (-not (Test-Path -LiteralPath $path)) { return }
    $lines = New-Object Collections.ArrayList
    $inside = $false; $done = $false; $differs = $false; $skipping = $false; $last = -1
    foreach ($line in [IO.File]::ReadAllLines($path)) {
        if ($line -match '^\[([^\]]+)\]\s*$') {
            $inside = $matches[1].Trim() -ceq $Section
        } elseif ($skipping -and $line -match '^[ \t]+\S') {
            continue
        }
        $skipping = $false
        if ($inside -and $line -cmatch ('^' + [regex]::Escape($Option) + '[ \t]*[=:][ \t]*(.*?)[ \t]*$')) {
            $done = $true
            if ($matches[1] -cne $Value) { $line = $Option + '=' + $Value; $differs = $true; $skipping = $true }
        }
        [void]$lines.Add($line)
        if ($inside -and $line.Trim()) { $last = $lines.Count }
    }
    if (-not $done) {
        $differs = $true
        if ($last -lt 0) { [void]$lines.Add('[' + $Section + ']'); $last = $lines.Count }
        $lines.Insert($last, $Option + '=' + $Value)
    }
    if ($differs) {
        [IO.File]::WriteAllLines($path, [string[]]$lines, (New-Object Text.UTF8Encoding $false))
        Say ('set ' + $Option + ' in ' + $path)
    }
}

try {
    Set-Value 'SYSTEM\CurrentControlSet\Control\TimeZoneInformation' 'RealTimeIsUniversal' DWord ([int]1)
    Set-Value 'SYSTEM\CurrentControlSet\Services\partmgr\Parameters' 'SanPolicy' DWord ([int]1)
    Set-Value 'SYSTEM\MountedDevices' '\DosDevices\R:' Binary (Get-PartitionBytes 3)
    Set-Value 'SYSTEM\MountedDevices' '\DosDevices\S:' Binary ([byte[]]@(0x3e, 0xa0, 0xbe, 0x5c, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00))
    Set-Value 'SYSTEM\MountedDevices' '\DosDevices\T:' Binary ([byte[]]@(0x44, 0x4d, 0x49, 0x4f, 0x3a, 0x49, 0x44, 0x3a, 0x21, 0x1f, 0x93, 0x09, 0xaf, 0x7f, 0xa9, 0x44, 0x81, 0xd8, 0x1e, 0x73, 0xc1, 0x4b, 0x9e, 0xaf))
    Remove-Value 'SYSTEM\MountedDevices' '\DosDevices\E:'
    Set-IniOption '\Program Files\Cloudbase Solutions\Cloudbase-Init\conf\cloudbase-init.conf' 'DEFAULT' 'real_time_clock_utc' 'true'
    Set-IniOption '\Program Files\Cloudbase Solutions\Cloudbase-Init\conf\cloudbase-init-unattend.conf' 'DEFAULT' 'real_time_clock_utc' 'true'
    Set-IniOption '\Program Files (x86)\Cloudbase Solutions\Cloudbase-Init\conf\cloudbase-init.conf' 'DEFAULT' 'real_time_clock_utc' 'true'
    Set-IniOption '\Program Files (x86)\Cloudbase Solutions\Cloudbase-Init\conf\cloudbase-init-unattend.conf' 'DEFAULT' 'real_time_clock_utc' 'true'
} catch {
    Say ('failed: ' + $_)
    exit 1002
}
if ($script:changed) { exit 1001 }
Say 'nothing to do'
exit 0

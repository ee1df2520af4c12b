# Completion of kubectl-mariadb for PowerShell. What `kubectl mariadb` completes, kubectl asks for itself.

Register-ArgumentCompleter -Native -CommandName 'kubectl-mariadb' -ScriptBlock {
    param($WordToComplete, $CommandAst, $CursorPosition)
    $typed = @($CommandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $CursorPosition } | ForEach-Object { $_.Extent.Text })
    # Before 7.3 an empty argument is lost unless it is written as quotes.
    $empty = if ($PSVersionTable.PSVersion -lt [version]'7.3') { '""' } else { '' }
    $last = if ($WordToComplete -eq '') { $empty } else { $WordToComplete }
    # After `--flag=` only the value is offered.
    $flag = if ($WordToComplete -match '^-[^=]*=') { $Matches[0] } else { '' }
    & $CommandAst.CommandElements[0].Extent.Text __complete @typed $last 2>$null | Where-Object { $_ -notmatch '^:' } | ForEach-Object {
        $word, $meaning = $_ -split "`t", 2
        if (-not $meaning) { $meaning = $word }
        [System.Management.Automation.CompletionResult]::new("$flag$word", $word, 'ParameterValue', $meaning)
    }
}

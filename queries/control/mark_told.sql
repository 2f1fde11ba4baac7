UPDATE rampkeeper.night_reports SET told = 1 WHERE as_of = $1::date AND told = 0

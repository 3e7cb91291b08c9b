package events

// isTimestamp returns whether text is an RFC 3339 date-time. A leap second is valid at
// 23:59:60 UTC of any day.
func isTimestamp(text string) bool {
	const shape = "0000-00-00T00:00:00"
	if len(text) <= len(shape) {
		return false
	}
	for i := range len(shape) {
		c := text[i]
		switch shape[i] {
		case '0':
			if !isDigit(c) {
				return false
			}
		case 'T':
			if c != 'T' && c != 't' && c != ' ' {
				return false
			}
		default:
			if c != shape[i] {
				return false
			}
		}
	}
	year, month, day := 100*two(text, 0)+two(text, 2), two(text, 5), two(text, 8)
	hour, minute, second := two(text, 11), two(text, 14), two(text, 17)
	offset, ok := offsetMinutes(skipFraction(text[len(shape):]))
	if !ok || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return false
	}
	if hour > 23 || minute > 59 || second > 60 {
		return false
	}
	if second == 60 {
		const day = 24 * 60
		return (hour*60+minute-offset+day)%day == day-1
	}
	return true
}

// two returns the number that two digits stand for.
func two(text string, at int) int {
	return 10*int(text[at]-'0') + int(text[at+1]-'0')
}

// skipFraction drops the fraction of a second, if there is one, from what follows it.
func skipFraction(text string) string {
	if len(text) < 2 || text[0] != '.' || !isDigit(text[1]) {
		return text
	}
	at := 1
	for at < len(text) && isDigit(text[at]) {
		at++
	}
	return text[at:]
}

// offsetMinutes reads the offset from UTC, which must be all of text.
func offsetMinutes(text string) (int, bool) {
	if text == "Z" || text == "z" {
		return 0, true
	}
	if len(text) != len("+00:00") || text[3] != ':' {
		return 0, false
	}
	for _, at := range [...]int{1, 2, 4, 5} {
		if !isDigit(text[at]) {
			return 0, false
		}
	}
	hours, minutes := two(text, 1), two(text, 4)
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	switch text[0] {
	case '+':
		return hours*60 + minutes, true
	case '-':
		return -(hours*60 + minutes), true
	default:
		return 0, false
	}
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

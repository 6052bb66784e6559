package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// place is a city with the beginning of its telephone numbers.
type place struct {
	city, country, area, zip string
}

var places = []place{
	{"Berlin", "DE", "4930", "10"}, {"Hamburg", "DE", "4940", "20"}, {"München", "DE", "4989", "80"},
	{"Köln", "DE", "49221", "50"}, {"Frankfurt am Main", "DE", "4969", "60"}, {"Stuttgart", "DE", "49711", "70"},
	{"Leipzig", "DE", "49341", "04"}, {"Bremen", "DE", "49421", "28"}, {"Nürnberg", "DE", "49911", "90"},
	{"Wien", "AT", "431", "1"}, {"Zürich", "CH", "4144", "80"},
}

var countryNames = map[string]string{"DE": "Germany", "AT": "Austria", "CH": "Switzerland"}

var (
	owners  = strings.Fields("Müller Schmidt Weber Becker Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Krüger Hartmann Lange Werner Krause Lehmann Köhler Maier Huber Kaiser Fuchs Vogel Jansen Winter Sommer Brandt Haas Schreiber Graf Dietrich Ziegler Kuhn Pohl Engel Horn")
	trades  = []string{"Maschinenbau", "Logistik", "Elektrotechnik", "Metallbau", "Werkzeuge", "Holzhandel", "Medizintechnik", "Verpackung", "Armaturen", "Baustoffe", "Textil", "Fördertechnik", "Optik", "Kunststoff", "Druckerei", "Gebäudetechnik"}
	forms   = []string{"GmbH", "AG", "KG", "GmbH & Co. KG", "OHG"}
	streets = []string{"Hauptstraße", "Bahnhofstraße", "Industriestraße", "Gartenweg", "Am Hafen", "Lindenallee", "Ringstraße", "Werkstraße"}
	first   = strings.Fields("Anna Lukas Marie Jonas Sophie Felix Laura Paul Lena Maximilian Julia Tobias Katharina Stefan Nina Andreas Eva Martin Petra Thomas")
	roles   = []string{"Purchasing", "Accounts", "Management", "Warehouse", "Quality"}
	items   = []string{"Hex bolt", "Washer", "Bearing", "Seal ring", "Gear wheel", "Drive belt", "Valve", "Pressure gauge", "Pipe clamp", "Hose", "Motor", "Switch", "Cable", "Sensor", "Bracket", "Spring"}
)

// maker makes values that occur once in a run: numbers, addresses, names.
type maker struct {
	*rand.Rand
	// next gives the numbers that make values unique; all makers of a run share it.
	next func() int
}

func pick[T any](m *maker, from []T) T { return from[m.IntN(len(from))] }

// company is a customer as the world has it; each side spells it its own way.
type company struct {
	name, slug, street string
	place              place
	zip, phone         string // phone is E.164
	email, vat         string
	people             []person
}

type person struct {
	first, last, email, phone, role string
}

func (m *maker) company() company {
	n := m.next()
	c := company{place: pick(m, places), street: fmt.Sprintf("%s %d", pick(m, streets), 1+m.IntN(180))}
	owner, trade := pick(m, owners), pick(m, trades)
	c.name = fmt.Sprintf("%s %s %s %s", owner, trade, c.place.city, pick(m, forms))
	c.slug = fmt.Sprintf("%s-%s-%d", ascii(owner), ascii(trade), n)
	c.zip = c.place.zip + fmt.Sprintf("%0*d", 5-len(c.place.zip), m.IntN(900))
	if c.place.country != "DE" {
		c.zip = c.zip[:4]
	}
	c.phone, c.email, c.vat = phoneAt(c.place, n), m.mail("office", c.slug), vat(c.place.country, n)
	for range 1 + m.IntN(2) {
		c.people = append(c.people, m.person(c))
	}
	return c
}

func (m *maker) person(c company) person {
	p := person{first: pick(m, first), last: pick(m, owners), role: pick(m, roles)}
	p.email = m.mail(ascii(p.first)+"."+ascii(p.last), c.slug)
	p.phone = phoneAt(c.place, m.next())
	return p
}

// mail is an address that nobody else has.
func (m *maker) mail(who, at string) string {
	return fmt.Sprintf("%s.%d@%s.example", who, m.next(), at)
}

func phoneAt(p place, n int) string { return fmt.Sprintf("+%s%07d", p.area, 2000000+n) }

func vat(country string, n int) string {
	switch country {
	case "AT":
		return fmt.Sprintf("ATU%08d", 30000000+n)
	case "CH":
		return fmt.Sprintf("CHE%09d", 100000000+n)
	}
	return fmt.Sprintf("DE%09d", 200000000+n)
}

// typed is a telephone number as somebody types it.
func (m *maker) typed(p place, e164 string) string {
	rest := strings.TrimPrefix(e164, "+"+p.area)
	area := p.area[2:]
	switch {
	case p.country != "DE" || m.IntN(3) == 0:
		return fmt.Sprintf("+%s %s %s", p.area[:2], area, rest)
	case m.IntN(2) == 0:
		return fmt.Sprintf("0%s/%s", area, rest)
	}
	return fmt.Sprintf("(0%s) %s %s", area, rest[:3], rest[3:])
}

// respelled is a name as the other office wrote it down.
func (m *maker) respelled(name string) string {
	switch m.IntN(8) {
	case 0:
		return strings.Replace(name, "ü", "ue", 1)
	case 1:
		return strings.Replace(name, " GmbH & Co. KG", " GmbH&Co.KG", 1)
	case 2:
		return name + " " // trimmed by the mapping
	}
	return name
}

var plainLetters = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", " ", "-")

func ascii(s string) string { return plainLetters.Replace(strings.ToLower(s)) }

// uuid is one from the maker's numbers, so that a seed gives the same keys.
func (m *maker) uuid() string {
	a, b := m.Uint64(), m.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// money is an amount with two digits behind the point.
func (m *maker) money(most int) string { return fmt.Sprintf("%d.%02d", m.IntN(most), m.IntN(100)) }

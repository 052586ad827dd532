// Drives one of the JavaScript clients for the tests: requests as JSON lines on stdin, answers as JSON lines on stdout.
// ../README.md holds the protocol; each client has one file. Packages are found by NODE_PATH, which `run` sets.
'use strict'

const readline = require('node:readline')
const { Unsupported } = require('./base.js')

const CLIENTS = { kafkajs: './kafkajs.js', 'platformatic-kafka': './platformatic.js' }

function flag (name) {
  const value = process.argv[process.argv.indexOf('--' + name) + 1]
  if (!process.argv.includes('--' + name) || value === undefined) throw new Error(`--${name} is missing`)
  return value
}

function say (message) {
  process.stdout.write(JSON.stringify(message) + '\n')
}

async function answer (driver, request) {
  if (typeof driver[request.op] !== 'function') return { ok: false, error: 'no such op', unsupported: true }
  try {
    return { ok: true, ...(await driver[request.op](request)) }
  } catch (e) {
    if (e instanceof Unsupported) return { ok: false, error: e.message, unsupported: true }
    console.error(e)
    const causes = (e.errors ?? []).map(cause => cause.message)
    return { ok: false, error: [`${e.name}: ${e.message}`, ...causes].join('; ') }
  }
}

async function main () {
  console.log = console.info = console.debug = console.error // what a library prints must not get between the answers
  const name = flag('client')
  const { Driver } = require(CLIENTS[name])
  const driver = new Driver(flag('bootstrap'), name)
  say({ ready: true, client: name, version: driver.version, runtime: `Node.js ${process.version.slice(1)}` })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    if (request.op === 'quit') {
      say({ id: request.id, ok: true })
      break
    }
    say({ id: request.id, ...(await answer(driver, request)) })
  }
  await driver.close()
  process.stdout.write('', () => process.exit(0))
}

main()

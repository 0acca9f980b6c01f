const {appendFileSync} = require('node:fs')
const env = process.env

async function json(url, token, body) {
  const headers = {Authorization: `Bearer ${token}`, Accept: 'application/vnd.github+json', 'Content-Type': 'application/json', 'User-Agent': 'deploy-pages'}
  const answer = await fetch(url, {method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body)})
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

async function main() {
  const asked = await fetch(env.ACTIONS_ID_TOKEN_REQUEST_URL, {headers: {Authorization: `bearer ${env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}`}})
  if (!asked.ok) throw new Error(`no token for this job: ${asked.status}`)
  const {value} = await asked.json()
  const body = {artifact_id: Number(env.PAGES_ARTIFACT), pages_build_version: env.GITHUB_SHA, oidc_token: value}
  const made = await json(`${env.GITHUB_API_URL}/repos/${env.GITHUB_REPOSITORY}/pages/deployments`, env.INPUT_TOKEN, body)
  appendFileSync(env.GITHUB_OUTPUT, `page_url=${made.page_url}\n`)
  console.log(`deployed to ${made.page_url}`)
}

main().catch((error) => { console.log(`::error::${error.message}`); process.exit(1) })
